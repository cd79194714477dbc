"""SEALING batches: a Merkle root over the rows of each, chained, so that no change stays unseen.

How a row is written stands in storage/leaves.py, the tree in domain/merkle.py; the audit reads the
same rows by statements of its own. Must not decide anything about money.
"""
