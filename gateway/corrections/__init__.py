"""What becomes of money after it was split: corrections, chargebacks, debts of recipients.

Rows are only ever added. How shares are taken and given stands in domain/lots.py, the order of
steps in the flows; what a recipient owes is read off the positions that settlement counted.
"""
