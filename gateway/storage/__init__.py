"""The cellar: PostgreSQL itself, the pool, migrations, keys and backups.

It must not know what a payment is; a room's SQL stands in that room's `store.py`.
"""
