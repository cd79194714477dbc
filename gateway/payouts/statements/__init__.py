"""What comes back from the bank: statements to lines, lines to payouts, pure.

Nothing of a statement counts before the whole of it was read and its balances hold.
"""
