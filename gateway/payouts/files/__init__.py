"""Payout files, one module a bank format: orders in, bytes out, pure.

Every requisite is checked once more before the first byte: money sent to a wrong account comes
back late or not at all. Must not read a clock: the same orders make the same bytes for ever.
"""
