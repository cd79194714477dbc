"""Who pays: the settlement centre's own account (pure).

Until a recipient of kind `centre` is registered everything is a trial, and is paid from an account
that says so in its name; no bank holds such an account, so such a file moves no money.
"""

from gateway.domain.party import Recipient
from gateway.payouts.files.order import Party

TRIAL_CENTRE = Party(
    name="ПРОБНЫЙ РЕЖИМ: расчетный центр не зарегистрирован",
    inn="7707083893",
    kpp=None,
    account="40821810700000000000",
    bic="044525225",
    correspondent="30101810400000000225",
)


def party(recipient: Recipient) -> Party:
    """A recipient as a payout file names it."""
    account = recipient.bank_account
    return Party(
        name=recipient.name.strip(),
        inn=recipient.inn,
        kpp=recipient.kpp,
        account=account.number,
        bic=account.bic,
        bank_name=account.bank_name,
        correspondent=account.correspondent,
    )
