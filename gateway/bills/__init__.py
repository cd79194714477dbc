"""WHAT is owed: bills as they were loaded, and the open bill of each account.

No split is done here; what a payment leaves paid is handed in by the flows.
"""
