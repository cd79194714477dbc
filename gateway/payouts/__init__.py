"""Sending it: payouts become files in the forms that banks take.

Must not decide who is paid what: positions are settled before they come here.
"""
