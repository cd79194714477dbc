"""What acquirers say they took: their files read, and each row matched with our payments.

Knows files, rows and verdicts; must not make payments, and keeps no names and no addresses.
"""
