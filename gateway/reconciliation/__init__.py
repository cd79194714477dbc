"""Whether the money of payments has come, and what becomes of all that does not agree.

A line of a statement, an acquirer's report and its payments are brought together to the kopeck, or
not at all; nothing here moves money.
"""
