"""Spending the tokens of a commit group: each once for ever, and only for the total it is for.

In the transaction of their payments, after their keys and bills and in the order of the tokens, so
that two groups with the same tokens cannot wait for each other.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from gateway.domain.payment import OpenedToken, PaymentRequest
from gateway.domain.refusals import Refusal, Unavailable
from gateway.journal import store as journal_store


class SameTokenTwice(Exception):
    """Two payments of one group have the same token; which of them is paid shows one by one."""


async def spend(conn: Any, requests: Sequence[PaymentRequest]) -> Mapping[UUID, Exception]:
    """Spend the tokens of new payments, by their ids those whose token is not taken, and why.

    Raises SameTokenTwice, nothing being spent: the second is to be paid if the first is refused.
    """
    refused: dict[UUID, Exception] = {}
    spending: dict[bytes, PaymentRequest] = {}
    for request in requests:
        token = request.token
        if isinstance(token, (Refusal, Unavailable)):
            refused[request.id] = token
        elif isinstance(token, OpenedToken):
            if token.digest in spending:
                raise SameTokenTwice
            spending[token.digest] = request
    if not spending:
        return refused
    spent = await journal_store.spend(
        conn,
        [
            (digest, request.id, request.subscriber_account)
            for digest, request in sorted(spending.items())
        ],
    )
    for request in spending.values():
        if request.id not in spent:
            refused[request.id] = Refusal(
                "token_replayed", "Expected a token that was not used, was one of another payment"
            )
    return refused


async def give_back(conn: Any, requests: Sequence[PaymentRequest]) -> None:
    """Give back what `spend` spent for payments that are refused after all."""
    tokens = [
        (request.token.digest, request.id)
        for request in requests
        if isinstance(request.token, OpenedToken)
    ]
    if tokens:
        await journal_store.unspend(conn, tokens)


def check_total(request: PaymentRequest, total: int) -> None:
    """Refusal token_amount_mismatch where the payer agreed to another total (kopecks)."""
    token = request.token
    if isinstance(token, OpenedToken) and token.total not in (None, total):
        raise Refusal(
            "token_amount_mismatch",
            f"Expected a token for the total of {total} kopecks, was for another amount",
        )
