"""Codes as they are printed: found in pictures, drawn for bills, linear ones told by templates.

Knows symbols and what is written in them; must not look at bills, nor keep a picture.
"""
