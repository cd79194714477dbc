"""The door: HTTP and nothing else. Bytes become typed requests, results and refusals become bytes.

No SQL, no arithmetic with money and no order of steps here; only problems.py knows statuses.
"""
