"""Figures of the whole product on this machine, each beside what it is compared with.

Nothing of the product imports this; traffic goes to the loopback address only.
"""
