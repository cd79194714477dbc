"""The biller protocols of banks and payment agents: parameters to words, words to XML.

Must not move money or know of HTTP; what a request comes to is the road's to find out.
"""
