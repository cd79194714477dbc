"""Where each table stands when the schema is spread over the nodes of Citus, and why.

This is data alone: `distribute.py` applies it, and a test holds it against the catalogue, so that a
table nobody placed, or a key without the column that its rows are spread by, is found at once.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from msgspec import Struct


class Kind(Enum):
    """How the rows of a table are spread."""

    SPREAD = "spread"
    """By the hash of one column, which stands in each of its keys."""
    EVERYWHERE = "everywhere"
    """A copy on each node, for joins: rows that few write and everybody reads."""
    COORDINATOR = "coordinator"
    """On the coordinator alone, known to Citus, so that a commit holds for it and the spread."""


class Place(Struct, frozen=True):
    """Where a table stands: `column` and `beside` (the table that it shares its shards with) only
    where it is spread; `why` tells what it grows with.
    """

    kind: Kind
    why: str
    column: str | None = None
    beside: str | None = None


ACCOUNT: Final = "subscriber_account"


def _by_account(why: str) -> Place:
    return Place(Kind.SPREAD, why, ACCOUNT, "open_bills")


def _by_own(column: str, why: str) -> Place:
    return Place(Kind.SPREAD, why, column)


def _everywhere(why: str) -> Place:
    return Place(Kind.EVERYWHERE, why)


def _coordinator(why: str) -> Place:
    return Place(Kind.COORDINATOR, why)


_WHOM = "recipients and who acts for whom: thousands"
_AGREED = "agreements: thousands of versions"
_PLANS = "structures that bills share: as many as kinds of houses"
_DAYS = "settlement: a few rows a recipient and day"
_BANK = "the bank's statements and payouts: as many as settlement has"
_EXCEPTIONS = "what people or banks took back or moved: as many as there are exceptions"
_AFTERWARDS = "what became of payments afterwards: one in hundreds, beside its payment on any node"
_ARRIVALS = "money that comes in sums, and what differs"
_RESTORED = "what a database that was put back has lost: once in years"
_EVENTS = "what recipients are told: a few rows a recipient and day"

PLACES: Final[Mapping[str, Place]] = {
    # Spread by account, side by side: a payment, its bill and what became of it share a shard.
    "open_bills": Place(Kind.SPREAD, "accounts", ACCOUNT),
    "bills": _by_account("bills"),
    "payments": _by_account("payments"),
    "reported_payments": _by_account("online payments that reports spoke of"),
    # Spread by what must be unique over all accounts: the column stands in the key as it is, and
    # nothing could be claimed twice under two accounts.
    "idempotency_keys": _by_own("key", "payments: a caller's key, whatever account it is used for"),
    "wallet_tokens": _by_own("digest", "wallet payments: a token, whatever account it pays"),
    # A copy on each node.
    "callers": _everywhere(_WHOM),
    "recipients": _everywhere(_WHOM),
    "recipient_versions": _everywhere("one row a change of a recipient"),
    "commission_terms": _everywhere("fee rules: one row a change"),
    "surcharge_terms": _everywhere("fee rules: one row a change"),
    "agreements": _everywhere(_AGREED),
    "agreement_tariffs": _everywhere(_AGREED),
    "agreement_second_levels": _everywhere(_AGREED),
    "agreement_decisions": _everywhere(_AGREED),
    "split_plans": _everywhere(_PLANS),
    "split_plan_parts": _everywhere(_PLANS),
    "split_plan_recipients": _everywhere(_PLANS),
    "resolutions": _everywhere(_AFTERWARDS),
    "refunds": _everywhere(_AFTERWARDS),
    "moves": _everywhere(_AFTERWARDS),
    "corrections": _everywhere(_AFTERWARDS),
    "chargebacks": _everywhere(_AFTERWARDS),
    "chargeback_reversals": _everywhere(_AFTERWARDS),
    "report_discrepancies": _everywhere(_AFTERWARDS),
    "discrepancy_steps": _everywhere(_AFTERWARDS),
    "arrival_discrepancies": _everywhere(_AFTERWARDS),
    "acquirer_reports": _everywhere("a row a file"),
    "arrivals": _everywhere(_ARRIVALS),
    "arrived_reports": _everywhere(_ARRIVALS),
    "arrived_payments": _everywhere("payments whose money comes one by one"),
    "arrival_terms": _everywhere(_AGREED),
    "arrival_lines": _everywhere(_ARRIVALS),
    "incoming_money": _everywhere(_ARRIVALS),
    "bank_statements": _everywhere(_BANK),
    "settlement_batches": _everywhere("one row a batch"),
    "batch_dates": _everywhere("one row a batch"),
    "batch_days": _everywhere("one row a batch and day"),
    # On the coordinator.
    "api_keys": _coordinator("callers' secrets: a few rows each"),
    "cut": _coordinator("one row, read by each commit under the cut lock"),
    "batch_terms": _coordinator("a row a batch"),
    "batch_approvals": _coordinator("a row a batch"),
    "requisites_used": _coordinator(_DAYS),
    "recipient_confirmations": _coordinator("changes that somebody looked at by themselves"),
    "surcharge_confirmations": _coordinator("changes that somebody looked at by themselves"),
    "settlement_events": _coordinator("a few rows a batch"),
    "positions": _coordinator(_DAYS),
    "position_days": _coordinator(_DAYS),
    "waiting_balances": _coordinator(_DAYS),
    "judged_batches": _coordinator("one row a batch"),
    "judged_balances": _coordinator(_DAYS),
    "payouts": _coordinator(_DAYS),
    "payout_files": _coordinator("a file a batch"),
    "acts": _coordinator("a file a recipient and batch"),
    "payout_events": _coordinator(_BANK),
    "statement_lines": _coordinator(_BANK),
    "moving_lines": _coordinator(_BANK),
    "statement_discrepancies": _coordinator(_BANK),
    "returned_money": _coordinator(_BANK),
    "seals": _coordinator("two rows a batch"),
    "history_seals": _coordinator("a row each time that something was found, and a batch"),
    "history_rows": _coordinator("a hash for each row that is kept: a few a recipient and day"),
    "seal_pages": _coordinator("49 bytes a payment, in pages, of sealed batches"),
    "report_forms": _coordinator("a row a change of reports' columns"),
    "report_carried": _coordinator("a row for all time"),
    "report_pages": _coordinator("reports of closed batches, made again when missing"),
    "debt_requests": _coordinator(_EXCEPTIONS),
    "debt_settlements": _coordinator(_EXCEPTIONS),
    "served_by": _coordinator("a row a server that the database was on"),
    "restores": _coordinator(_RESTORED),
    "restore_lifts": _coordinator(_RESTORED),
    "lifted_restores": _coordinator(_RESTORED),
    "restored_lines": _coordinator(_RESTORED),
    "restored_line_decisions": _coordinator(_RESTORED),
    "paid_before": _coordinator(_RESTORED),
    "obligations": _coordinator("contracts between recipients"),
    "open_obligations": _coordinator("contracts between recipients"),
    "obligation_transfers": _coordinator(_DAYS),
    "obligation_withdrawals": _coordinator(_EXCEPTIONS),
    "obligation_reductions": _coordinator(_EXCEPTIONS),
    "report_policies": _coordinator("a row an acquirer"),
    "authorisations": _coordinator(
        "payments that the gateway itself asks a bank for: unique by reference and by the bank's "
        "operation, over all accounts"
    ),
    "acquirer_refunds": _coordinator(_EXCEPTIONS),
    "biller_numbers": _coordinator("payments by biller protocols: unique by number"),
    "events": _coordinator(_EVENTS),
    "webhooks": _coordinator("a few rows a recipient"),
    "webhook_secrets": _coordinator("a few rows a recipient"),
    "webhook_deliveries": _coordinator(_EVENTS),
    "webhook_attempts": _coordinator(_EVENTS),
    "arrival_marks": _coordinator("a row an acquirer"),
    "schema_migrations": _coordinator("a row a migration"),
}
