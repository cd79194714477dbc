"""Acquirers that the gateway asks to take money: their words, their connectors, what was asked.

Must not move money of the journal: what an acquirer took becomes a payment in the flows.
"""

from gateway.acquirers.kinds import KINDS, Kind
from gateway.acquirers.words import Acquirer, Answer, Notice, Order

__all__ = ["KINDS", "Acquirer", "Answer", "Kind", "Notice", "Order"]
