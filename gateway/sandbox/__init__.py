"""A bank for trying things out: takes no real money, and plays every outcome a card names.

Speaks the protocol of gateway.acquirers.sandbox over HTTP, from a process of its own, so that
timeouts, lost answers and callbacks are real ones.
"""
