"""Kopeck, a payment gateway that splits every household payment to the kopeck.

Importing the package starts nothing.
"""

__version__ = "0.1.0"
