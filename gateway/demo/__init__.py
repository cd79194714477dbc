"""The sample region: `kopeck demo` plays one whole day of an invented region through the gateway.

It speaks to the gateway as banks and operators do, over HTTP and the command line, and checks all
it is told; it must not reach into the gateway's rooms or tables.
"""
