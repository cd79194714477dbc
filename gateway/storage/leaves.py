"""How the rows of a settlement batch are written to be hashed: statements for who seals or proves.

A row is `record_send` of its columns: how many they are, then of each its type, its length and its
bytes (PostgreSQL's binary form). Before it stand the byte 0 of a leaf and a byte of kind. A version
lists its columns and is never changed: a new column makes a new version, and seals tell theirs.
"""

import re
from typing import Final

VERSION: Final = 4
KEY_BYTES: Final = 17
ENTRY_BYTES: Final = KEY_BYTES + 32

# Kinds by their byte, the tables that they stand for.
BATCH, PAYMENT, RESOLUTION, REFUND, RETURNED, POSITION = range(6)
APPROVAL, PAYOUT, PAYOUT_FILE = range(6, 9)
MOVE, CORRECTION, CHARGEBACK, REVERSAL, DEBT = range(9, 14)
OBLIGATION, TRANSFER, REDUCTION = range(14, 17)
HISTORY: Final = 17
OF_APPROVED: Final = frozenset((APPROVAL, PAYOUT, PAYOUT_FILE))
"""Sealed at the approval, all others at the count."""

_JOURNAL_1: Final = r"""
    SELECT '\x00000000000000000000000000'::bytea || int4send(number) AS key,
           '\x0000'::bytea || record_send(ROW(
               number, id, business_date, closed_at, closed_by, payments, refunds)) AS content
    FROM settlement_batches WHERE number = $1
    UNION ALL
    SELECT '\x01'::bytea || uuid_send(id), '\x0001'::bytea || record_send(ROW(
               id, accepted_at, paid_at, amount, surcharge, total, commission, bill,
               terms_version, caller, settlement_batch, sequence, plan, method,
               subscriber_account, shares, commissions, facts, designation, reference))
    FROM payments WHERE settlement_batch = $1
    UNION ALL
    SELECT '\x02'::bytea || uuid_send(payment), '\x0002'::bytea || record_send(ROW(
               payment, resolved_at, amount, commission, bill, terms_version, caller,
               settlement_batch, sequence, plan, subscriber_account, shares, commissions))
    FROM resolutions WHERE settlement_batch = $1
    UNION ALL
    SELECT '\x03'::bytea || uuid_send(id), '\x0003'::bytea || record_send(ROW(
               id, payment, refunded_at, amount, caller, settlement_batch, sequence, plan,
               subscriber_account, shares))
    FROM refunds WHERE settlement_batch = $1
    UNION ALL
    SELECT '\x040000000000000000'::bytea || int4send(from_batch) || int4send(recipient),
           '\x0004'::bytea || record_send(ROW(
               from_batch, recipient, settlement_batch, amount, payout, at))
    FROM returned_money WHERE settlement_batch = $1
"""
_POSITIONS_1: Final = r"""
    UNION ALL
    SELECT '\x05000000000000000000000000'::bytea || int4send(recipient),
           '\x0005'::bytea || record_send(ROW(
               settlement_batch, recipient, gross, commission, refunds, net, carried_in,
               payable, carried_out, returned, order_number))
    FROM positions WHERE settlement_batch = $1
"""
# What happened to payments of any batch after they were split, and to debts of recipients.
_MOVED_2: Final = r"""
    UNION ALL
    SELECT '\x09'::bytea || uuid_send(id), '\x0009'::bytea || record_send(ROW(
               number, id, entry, kind, sign, payment, lot, at, caller, settlement_batch,
               subscriber_account, sequence, counts_as, bill, plan, period, terms_version, amount,
               commission, shares, commissions, designation))
    FROM moves WHERE settlement_batch = $1
    UNION ALL
    SELECT '\x0a'::bytea || uuid_send(id), '\x000a'::bytea || record_send(ROW(
               id, payment, at, caller, settlement_batch, subscriber_account, amount, asked, reason,
               document))
    FROM corrections WHERE settlement_batch = $1
    UNION ALL
    SELECT '\x0b'::bytea || uuid_send(id), '\x000b'::bytea || record_send(ROW(
               id, payment, at, caller, settlement_batch, subscriber_account, amount, suspended,
               acquirer, case_id, reason_code))
    FROM chargebacks WHERE settlement_batch = $1
    UNION ALL
    SELECT '\x0c'::bytea || uuid_send(id), '\x000c'::bytea || record_send(ROW(
               id, chargeback, payment, at, caller, settlement_batch, subscriber_account, amount,
               suspended, document))
    FROM chargeback_reversals WHERE settlement_batch = $1
    UNION ALL
    SELECT '\x0d'::bytea || uuid_send(id), '\x000d'::bytea || record_send(ROW(
               id, recipient, kind, amount, approved_at, approved_by, settlement_batch))
    FROM debt_settlements WHERE settlement_batch = $1
"""

_POSITIONS_3: Final = r"""
    UNION ALL
    SELECT '\x05000000000000000000000000'::bytea || int4send(recipient),
           '\x0005'::bytea || record_send(ROW(
               settlement_batch, recipient, gross, commission, refunds, net, carried_in,
               payable, carried_out, returned, order_number, transferred))
    FROM positions WHERE settlement_batch = $1
"""
_OBLIGATIONS_3: Final = r"""
    UNION ALL
    SELECT '\x0e'::bytea || uuid_send(id), '\x000e'::bytea || record_send(ROW(
               number, id, debtor, creditor, services, amount, document_number, document_date,
               settlement_batch, loaded_at, loaded_by))
    FROM obligations WHERE settlement_batch = $1
    UNION ALL
    SELECT '\x0f'::bytea || uuid_send(id), '\x000f'::bytea || record_send(ROW(
               id, settlement_batch, obligation, debtor, creditor, service, amount))
    FROM obligation_transfers WHERE settlement_batch = $1
    UNION ALL
    SELECT '\x10'::bytea || uuid_send(id), '\x0010'::bytea || record_send(ROW(
               id, obligation, settlement_batch, amount, reason, asked_by, approved_at,
               approved_by))
    FROM obligation_reductions WHERE settlement_batch = $1
"""
# What the history's seal at the count says; with it, the batch holds all that came before.
_HISTORY_4: Final = r"""
    UNION ALL
    SELECT '\x11000000000000000000000000'::bytea || int4send(number),
           '\x0011'::bytea || record_send(ROW(
               number, settlement_batch, made_at, leaves, root, after_seal, chain))
    FROM history_seals WHERE settlement_batch = $1
"""
COUNTED_1: Final = _JOURNAL_1 + _POSITIONS_1
COUNTED_2: Final = _JOURNAL_1 + _POSITIONS_1 + _MOVED_2
COUNTED_3: Final = _JOURNAL_1 + _POSITIONS_3 + _MOVED_2 + _OBLIGATIONS_3
COUNTED_4: Final = COUNTED_3 + _HISTORY_4

# What an approval adds: to whom how much is paid, and the bytes that the bank is given.
APPROVED_1: Final = r"""
    SELECT '\x06000000000000000000000000'::bytea || int4send(number) AS key,
           '\x0006'::bytea || record_send(ROW(
               number, approved_at, approved_by, payer_account, payer_bic)) AS content
    FROM settlement_batches WHERE number = $1
    UNION ALL
    SELECT '\x07'::bytea || uuid_send(id), '\x0007'::bytea || record_send(ROW(
               id, settlement_batch, recipient, amount, order_number, order_date, name, inn, kpp,
               bic, account, correspondent_account, purpose))
    FROM payouts WHERE settlement_batch = $1
    UNION ALL
    SELECT '\x08'::bytea || convert_to(rpad(format, 16), 'UTF8'), '\x0008'::bytea
           || record_send(ROW(settlement_batch, format, made_at, content))
    FROM payout_files WHERE settlement_batch = $1
"""
# What one leaf is made of, by its key, for whoever is to see that it is in the tree.
CONTENTS: Final = {
    (1, "counted"): f"SELECT content FROM ({COUNTED_1}) AS r WHERE key = $2",
    (1, "approved"): f"SELECT content FROM ({APPROVED_1}) AS r WHERE key = $2",
    (2, "counted"): f"SELECT content FROM ({COUNTED_2}) AS r WHERE key = $2",
    (2, "approved"): f"SELECT content FROM ({APPROVED_1}) AS r WHERE key = $2",
    (3, "counted"): f"SELECT content FROM ({COUNTED_3}) AS r WHERE key = $2",
    (3, "approved"): f"SELECT content FROM ({APPROVED_1}) AS r WHERE key = $2",
    (4, "counted"): f"SELECT content FROM ({COUNTED_4}) AS r WHERE key = $2",
    (4, "approved"): f"SELECT content FROM ({APPROVED_1}) AS r WHERE key = $2",
}
# The leaves in their order, a key and a hash strung together.
ENTRIES: Final = {
    (1, "counted"): f"SELECT key || sha256(content) FROM ({COUNTED_1}) AS r ORDER BY 1",
    (1, "approved"): f"SELECT key || sha256(content) FROM ({APPROVED_1}) AS r ORDER BY 1",
    (2, "counted"): f"SELECT key || sha256(content) FROM ({COUNTED_2}) AS r ORDER BY 1",
    (2, "approved"): f"SELECT key || sha256(content) FROM ({APPROVED_1}) AS r ORDER BY 1",
    (3, "counted"): f"SELECT key || sha256(content) FROM ({COUNTED_3}) AS r ORDER BY 1",
    (3, "approved"): f"SELECT key || sha256(content) FROM ({APPROVED_1}) AS r ORDER BY 1",
    (4, "counted"): f"SELECT key || sha256(content) FROM ({COUNTED_4}) AS r ORDER BY 1",
    (4, "approved"): f"SELECT key || sha256(content) FROM ({APPROVED_1}) AS r ORDER BY 1",
}
# Where a row that is not in its batch any more is now, by its kind.
BATCH_NOW: Final = {
    PAYMENT: "SELECT settlement_batch FROM payments WHERE id = $1",
    RESOLUTION: "SELECT settlement_batch FROM resolutions WHERE payment = $1",
    REFUND: "SELECT settlement_batch FROM refunds WHERE id = $1",
    PAYOUT: "SELECT settlement_batch FROM payouts WHERE id = $1",
    MOVE: "SELECT settlement_batch FROM moves WHERE id = $1",
    CORRECTION: "SELECT settlement_batch FROM corrections WHERE id = $1",
    CHARGEBACK: "SELECT settlement_batch FROM chargebacks WHERE id = $1",
    REVERSAL: "SELECT settlement_batch FROM chargeback_reversals WHERE id = $1",
    DEBT: "SELECT settlement_batch FROM debt_settlements WHERE id = $1",
    OBLIGATION: "SELECT settlement_batch FROM obligations WHERE id = $1",
    TRANSFER: "SELECT settlement_batch FROM obligation_transfers WHERE id = $1",
    REDUCTION: "SELECT settlement_batch FROM obligation_reductions WHERE id = $1",
}
_WRITTEN = re.compile(
    r"""SELECT (?P<key>.+?)(?:\ AS\ key)?,\s+
        '.x00(?P<kind>[01][0-9a-f])'::bytea\s*\|\|\ record_send\(ROW\((?P<columns>[^()]*)\)\)
        (?:\ AS\ content)?\s+FROM\ (?P<table>\w+)\ (?P<of_batch>WHERE\ \w+\ =\ \$1)""",
    re.VERBOSE | re.DOTALL,
)
_BY_VERSION: Final = (
    (1, COUNTED_1 + " UNION ALL " + APPROVED_1),
    (2, COUNTED_2 + " UNION ALL " + APPROVED_1),
    (3, COUNTED_3 + " UNION ALL " + APPROVED_1),
    (4, COUNTED_4 + " UNION ALL " + APPROVED_1),
)
# The names of a leaf's columns by version and kind.
COLUMNS: Final = {
    (version, int(found["kind"], 16)): [name.strip() for name in found["columns"].split(",")]
    for version, rows in _BY_VERSION
    for found in _WRITTEN.finditer(rows)
}
_ROWS: Final = r"SELECT \g<columns> FROM \g<table> \g<of_batch> ORDER BY \g<key>"
# The rows of a kind in a batch as they are, in the order of their leaves; all columns that the
# newest version has.
ROWS: Final = {
    int(found["kind"], 16): found.expand(_ROWS)
    for _, rows in _BY_VERSION
    for found in _WRITTEN.finditer(rows)
}
TABLES: Final = {
    int(found["kind"], 16): found["table"]
    for _, rows in _BY_VERSION
    for found in _WRITTEN.finditer(rows)
}
