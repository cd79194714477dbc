"""The QR code printed on a bill: whom to pay, for which account, and how much is still owed.

The money goes to the settlement centre, which splits it; until one is registered the code names
the trial account that payout files name, so that no bank takes money for it.
"""

from gateway.flows import find_bill
from gateway.flows.context import Context
from gateway.methods import bill_qr_writing
from gateway.methods.bill_qr_writing import BillToPrint
from gateway.parties import store as party_store
from gateway.payouts.centre import TRIAL_CENTRE, party


async def text_of(context: Context, account: str) -> str:
    """The text of the code of an account's open bill; refuses `not_found`.

    A bill that owes nothing has a code without a sum: whoever pays ahead names one.
    """
    bill = await find_bill.find(context, account)
    async with context.connection() as conn:
        centre = await party_store.find_centre(conn)
    payee = TRIAL_CENTRE if centre is None else party(centre[1])
    owed, period = bill["due_total"], str(bill["period"])
    year, _, month = period.partition("-")
    return bill_qr_writing.write(
        BillToPrint(
            name=payee.name,
            personal_acc=payee.account,
            bank_name=payee.bank_name or f"БИК {payee.bic}",
            bic=payee.bic,
            corresp_acc=payee.correspondent,
            payee_inn=payee.inn,
            kpp=payee.kpp,
            subscriber_account=account,
            period=period,
            purpose=f"Оплата ЖКУ за {month}.{year}, л/с {account}",
            sum_kopecks=owed if isinstance(owed, int) and owed > 0 else None,
        )
    )
