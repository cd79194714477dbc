"""PROVING it: every invariant recomputed from the stored rows, by code that wrote none of them.

Splits are done again by splitcore's reference, sums by plain SQL. Nothing is ever changed here.
"""
