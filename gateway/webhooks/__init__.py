"""Telling recipients by the Standard Webhooks specification: what, to whom, when and how often.

Must not move money, nor follow where an answer points: what is told stands in `events` before.
"""
