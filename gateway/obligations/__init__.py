"""OBLIGATIONS: what one recipient owes another, and how its share pays for it as batches close.

Who earned how much is counted in settlement; nothing here moves money before a batch is counted.
"""
