"""The words of the product: frozen values and enumerations.

No I/O, no SQL, no HTTP here; the clock and the ids are passed to those who need them.
"""
