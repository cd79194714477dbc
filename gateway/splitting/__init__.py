"""WHO gets what: fee rules, compiled plans, and the split of a commit group.

No payment or bill is written here; those are the journal's and the bills' rooms.
"""
