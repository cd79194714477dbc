"""CLOSING the day: the cut, positions netted by recipient, and what a report's rows are.

Who is paid how much is decided here; how the bank is told stands in payouts.
"""
