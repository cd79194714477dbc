"""The road: the order of steps, from a request to what is durable.

No HTTP and no SQL here; the arithmetic is splitcore's and the SQL stands in the rooms' stores.
"""
