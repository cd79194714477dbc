"""Checking the bills of one load and packing them, each form of bill looked at once."""

from datetime import datetime
from typing import Final

import orjson

from gateway.domain.bill import (
    Bill,
    OverpaymentCharge,
    Structure,
    check_bill,
    overpayment_policy,
    structure_of,
)
from gateway.domain.packed_bill import BillForm, PackedBill, packed_weights
from gateway.domain.refusals import Refusal
from gateway.methods import contains_pan
from splitcore import pack

FORMS_MAX: Final = 5_000

_Key = tuple[Structure, str, str | OverpaymentCharge, datetime | None, str | None]


class BillForms:
    """The forms of bills that were met in a load; the one met first is forgotten first."""

    def __init__(self) -> None:
        self._forms: dict[_Key, BillForm] = {}

    def pack(self, bill: Bill) -> PackedBill:
        """The bill packed, and its form.

        Refuses what `check_bill` does, and what `payer_text` does.
        """
        category = bill.payer_category
        key = (structure_of(bill), bill.period, bill.overpayment, bill.as_of, category)
        form = self._forms.get(key)
        check_bill(bill, known=form is not None)
        if form is None:
            if any(contains_pan(charge.service) for charge in bill.charges):
                raise Refusal("pan_not_allowed", "Expected services without a card number")
            if category is not None and contains_pan(category):
                raise Refusal("pan_not_allowed", "Expected a payer_category without a card number")
            policy = overpayment_policy(bill)
            form = BillForm(key[0], bill.period, policy, bill.as_of, category)
            self._remember(key, form)
        payer = None if bill.payer is None else payer_text(bill.payer)
        dues = [charge.due for charge in bill.charges]
        weight = packed_weights(dues, [charge.weight for charge in bill.charges])
        return PackedBill(bill.subscriber_account, form, pack(dues), weight, payer)

    def _remember(self, key: _Key, form: BillForm) -> None:
        self._forms[key] = form
        if len(self._forms) > FORMS_MAX:
            del self._forms[next(iter(self._forms))]


def payer_text(payer: dict[str, object] | str) -> str:
    """A payer as JSON text; refuses `malformed` and `pan_not_allowed`."""
    try:
        text = orjson.dumps(payer).decode()
    except TypeError:
        raise Refusal("malformed", "Expected whole numbers of a payer within 64 bits") from None
    if contains_pan(text):
        raise Refusal("pan_not_allowed", "Expected a payer without a card number")
    return text
