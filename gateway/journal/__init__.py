"""MAKING it durable: idempotency, commit groups, and the rows of payments, refunds, suspense.

A lost commit is unknown, never failed: it is found out by its key, in a new transaction.
"""
