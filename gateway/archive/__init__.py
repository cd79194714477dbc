"""Months of sealed batches in files of their own, and the proof that they are what was sealed."""
