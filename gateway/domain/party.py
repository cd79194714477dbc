"""Recipients and callers: who receives money, and who may ask us for what."""

from msgspec import Struct

from splitcore import FeeRule

RECIPIENT_KINDS = ("supplier", "management_company", "regional_operator", "centre")
ROLES = ("acquirer", "operator", "approver", "recipient", "auditor")


class Caller(Struct, frozen=True):
    """An authenticated system: its number in the journal, its name and its role.

    `recipient` is the recipient's id for the role `recipient`, else None.
    """

    number: int
    name: str
    role: str
    recipient: str | None = None


class BankAccount(Struct, frozen=True):
    """Where a recipient is paid: BIC (9 digits), account and correspondent account (20), and
    what the bank is called.
    """

    bic: str
    number: str
    correspondent: str | None = None
    bank_name: str | None = None


class Recipient(Struct, frozen=True):
    """An organisation that money is owed to, with its requisites and its commission."""

    id: str
    name: str
    kind: str
    inn: str
    kpp: str | None
    bank_account: BankAccount
    commission: FeeRule | None = None
