"""Rows that are only ever added and stand in no batch's tree: how they are written to be hashed.

A row's hash is the SHA-256 of the byte 0 of a leaf, its table's name, a byte 0 and `record_send` of
its columns. A form lists its columns and is never changed: a new column makes a new form, appended.
A test holds this list against the catalogue: each table is sealed with its batch (`leaves.py`),
kept here, or named in `OTHERWISE` with what guards it.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct


class Kept(Struct, frozen=True):
    """A table's primary key, and its columns by form. `of_batch`: its rows are final when the batch
    that this column names is counted, so that one which came afterwards was added by hand.
    """

    key: str
    forms: tuple[str, ...]
    of_batch: str | None = None


def _kept(key: str, *forms: str, of_batch: str | None = None) -> Kept:
    return Kept(key, forms, of_batch)


KEPT: Final[Mapping[str, Kept]] = {
    "acts": _kept(
        "settlement_batch, recipient",
        "settlement_batch, recipient, made_at, content",
    ),
    "agreement_decisions": _kept(
        "agreement",
        "agreement, state, terms_version, decided_at, decided_by, decided_by_name, "
        "proposed_by_name, reason",
    ),
    "agreement_second_levels": _kept(
        "agreement, place",
        "agreement, place, service, recipient, ppm",
    ),
    "agreement_tariffs": _kept(
        "agreement, place",
        "agreement, place, channel, payer_category, above_ppm, above_fixed, above_min, "
        "above_max, below_ppm, below_fixed, below_min, below_max",
    ),
    "agreements": _kept(
        "id",
        "id, recipient, acquirer, contract, valid_from, valid_until, time_zone, begins_at, "
        "ends_at, cut_off, minimum_payout, carry_days, report_format, name, inn, kpp, bic, "
        "account, correspondent_account, bank_name, proposed_at, proposed_by, "
        "proposed_by_name",
    ),
    "arrival_discrepancies": _kept(
        "subject, place",
        "subject, place, caller, subscriber_account, amount, since, found_at",
    ),
    "arrival_lines": _kept(
        "statement, line",
        "statement, line, arrival, amount",
    ),
    "arrival_terms": _kept(
        "number",
        "number, caller, comes, payer_account, payer_inn, contract, fee, fee_ppm, "
        "report_days, arrival_days, set_at, set_by",
    ),
    "arrivals": _kept(
        "id",
        "id, caller, is_fee, rule, at",
    ),
    "arrived_reports": _kept(
        "report, is_fee",
        "report, is_fee, arrival, amount, withheld",
    ),
    "bank_statements": _kept(
        "id",
        "id, format, digest, taken_at, taken_by, accounts, first_day, last_day, line_count, "
        "debits, credits, answer",
    ),
    "batch_dates": _kept(
        "settlement_batch",
        "settlement_batch, first_day, last_day, settlement_date, due_at",
        of_batch="settlement_batch",
    ),
    "batch_days": _kept(
        "settlement_batch, business_day",
        "settlement_batch, business_day, payments, amount, refunds, refunded",
        of_batch="settlement_batch",
    ),
    "commission_terms": _kept(
        "recipient, version",
        "recipient, version, ppm, fixed, min, max, set_at, set_by",
    ),
    "debt_requests": _kept(
        "id",
        "id, recipient, kind, amount, reason, document, asked_at, asked_by",
    ),
    "discrepancy_steps": _kept(
        "source, document, place, ordinal",
        "source, document, place, ordinal, step, outcome, evidence_name, evidence_number, "
        "evidence_date, evidence_sha256, evidence_text, reason, at, caller",
    ),
    "incoming_money": _kept(
        "statement, line",
        "statement, line, caller, is_fee, amount, booked_on, order_number, order_date, "
        "operations, days, identity",
    ),
    "judged_balances": _kept(
        "settlement_batch, recipient",
        "settlement_batch, recipient, amount",
    ),
    "judged_batches": _kept(
        "settlement_batch",
        "settlement_batch, judged_at",
    ),
    "lifted_restores": _kept(
        "restore",
        "restore, lift, approved_at, approved_by, settlement_batch",
    ),
    "obligation_withdrawals": _kept(
        "id",
        "id, obligation, amount, reason, asked_at, asked_by",
    ),
    "paid_before": _kept(
        "statement, line",
        "statement, line, recipient, amount, settlement_batch, at, caller",
    ),
    "payout_events": _kept(
        "payout, event",
        "payout, event, at, caller, statement, line, booked_on",
    ),
    "position_days": _kept(
        "settlement_batch, recipient",
        "settlement_batch, recipient, agreement, first_day, last_day, since_day, "
        "settled_to, held_until, waits_since",
        of_batch="settlement_batch",
    ),
    "recipient_versions": _kept(
        "recipient, version",
        "recipient, version, name, kind, inn, kpp, bic, account, correspondent_account, "
        "bank_name, terms_version, set_at, set_by",
    ),
    "report_carried": _kept(
        "from_batch",
        "from_batch",
    ),
    "report_forms": _kept(
        "from_batch",
        "from_batch, form",
    ),
    "restore_lifts": _kept(
        "id",
        "id, restore, reason, document, seen, asked_at, asked_by",
    ),
    "restored_line_decisions": _kept(
        "number",
        "number, statement, line, recipient, reason, at, caller",
    ),
    "restored_lines": _kept(
        "statement, line",
        "statement, line, restore, came, amount, booked_on, payer, order_number, "
        "order_date, account, inn, bic, named, recipient, of_statement, of_line",
    ),
    "restores": _kept(
        "id",
        "id, found, detail, at, caller",
    ),
    "settlement_events": _kept(
        "number",
        "number, settlement_batch, event, state, at, caller, reason",
    ),
    "statement_discrepancies": _kept(
        "statement, line",
        "statement, line, kind, payout, amount",
    ),
    "statement_lines": _kept(
        "statement, line",
        "statement, line, is_debit, amount, kind",
    ),
    "surcharge_terms": _kept(
        "method, version",
        "method, version, ppm, fixed, min, max, set_at, set_by",
    ),
    "waiting_balances": _kept(
        "settlement_batch, recipient",
        "settlement_batch, recipient, agreement, amount, minimum_payout, since, on_day, "
        "waits_until",
        of_batch="settlement_batch",
    ),
    "batch_approvals": _kept(
        "settlement_batch",
        "settlement_batch, number, terms_version, approved_by, two_people",
    ),
    "batch_terms": _kept(
        "settlement_batch",
        "settlement_batch, terms_version",
    ),
    "recipient_confirmations": _kept(
        "recipient, version, confirmed_by",
        "recipient, version, confirmed_by, number, confirmed_at",
    ),
    "requisites_used": _kept(
        "settlement_batch, recipient, is_payer",
        "settlement_batch, recipient, is_payer, version, agreement",
    ),
    "moving_lines": _kept(
        "payout, event",
        "payout, event, identity",
    ),
    "surcharge_confirmations": _kept(
        "method, version, confirmed_by",
        "method, version, confirmed_by, number, confirmed_at",
    ),
    # Of these only what never changes; states and counts of theirs move on.
    "acquirer_reports": _kept(
        "id",
        "id, caller, format, digest, received_at, row_count, amount, transfer, fee, "
        "order_number, order_date, first_day, last_day",
    ),
    "callers": _kept("number", "number, name, role, recipient"),
    "recipients": _kept("number", "number, id"),
    "seals": _kept(
        "number",
        "number, settlement_batch, stage, version, made_at, leaves, root, chain",
    ),
    "served_by": _kept("number", "number, installation, system_identifier, at"),
    "events": _kept("id", "id, recipient, type, at, content, webhook"),
}
OTHERWISE: Final[Mapping[str, str]] = {
    "bills": "amounts are played again by the audit; payers and addresses are guarded by nothing",
    "biller_numbers": "as many as payments; names beside them, of no sum or share",
    "arrived_payments": "as many as payments; the lines that brought their money are kept",
    "seal_pages": "its seal's root",
    "history_rows": "its seal's root",
    "acquirer_refunds": "what is asked of acquirers; what came of it is a refund, which is sealed",
    "api_keys": "secrets, which come and go",
    "arrival_marks": "until where arrivals were looked for",
    "authorisations": "what is asked of acquirers; what came of it is a payment, which is sealed",
    "cut": "the batch that is open",
    "idempotency_keys": "as many as payments; the audit holds those of money to what they name",
    "open_bills": "played again by the audit",
    "open_obligations": "what obligations and transfers leave, which are sealed",
    "report_discrepancies": "an acquirer's file read again, which is known by its digest",
    "report_pages": "made again from the journal where missing; compared with it by nobody",
    "report_policies": "how an acquirer's file is read from now on",
    "reported_payments": "as many as payments; an acquirer's file read again",
    "schema_migrations": "files of ours, which the doctor and each start compare",
    "split_plan_parts": "the audit holds them to the plan",
    "split_plan_recipients": "the audit holds them to the plan",
    "split_plans": "named by a digest, which the audit makes again",
    "wallet_tokens": "as many as payments by wallets; digests of spent tokens",
    "webhook_attempts": "what became of telling an event, which is kept",
    "webhook_deliveries": "what became of telling an event, which is kept",
    "webhook_secrets": "secrets, which come and go",
    "webhooks": "whom to tell from now on",
}


AS_KEPT: Final = "SET LOCAL datestyle = 'ISO, MDY'"
"""For transactions that write or compare keys, which are texts, days among them."""
_HASHES: Final = r"""
    SELECT ROW(:key)::text AS key,
           sha256('\x00'::bytea || ':table'::bytea || '\x00'::bytea || record_send(ROW(:columns)))
               AS hash
    FROM :table
"""


def hashes(table: str, form: int) -> str:
    """A query of every row of a table: its key as text, and its hash in that form."""
    kept = KEPT[table]
    return of_table(_HASHES, table, key=kept.key, columns=kept.forms[form - 1])


def of_table(query: str, table: str, **names: str) -> str:
    """A statement with the names of this file in their places, `:table` and others."""
    for place, name in {**names, "table": table}.items():
        query = query.replace(f":{place}", name)
    return query
