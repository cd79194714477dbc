"""One payment seen closely: its quote, its request, its split, the same request sent again."""

from typing import Any

import orjson

from gateway.demo.books import require, require_equal, sum_of
from gateway.demo.payers import Planned, owed_of
from gateway.demo.region import CURRENT, OLD_DEBT, PENALTY
from gateway.demo.roubles import percent, roubles
from gateway.demo.stage import Stage
from gateway.domain.bill import Bill, Charge

_TIERS = {OLD_DEBT: "0 old debt", CURRENT: "1 current", PENALTY: "2 penalty"}
# A published test number of MIR that passes every check of a card number.
_CARD_NUMBER = "2200 0000 0000 0004"


async def show_one_payment(stage: Stage) -> None:
    """Takes one payment and shows where each of its kopecks goes, and that it is taken once."""
    stage.show.chapter("One payment: from the request to every recipient")
    bill = _telling_bill(stage)
    planned = stage.payers.showcase(bill)
    bank = stage.banks[0]
    asked = {
        "subscriber_account": bill.subscriber_account,
        "amount": planned.body["amount"],
        "method": {"type": planned.body["method"]["type"]},
    }
    quote = (await bank.post("/v1/quotes", asked, expect=200)).json
    stage.show.verbatim(_curl(bank.url, planned))
    reply = await bank.post("/v1/payments", planned.body, planned.key)
    answer = reply.json
    stage.books.take(answer)
    for name in ("amount", "surcharge", "charges", "shares", "recipients"):
        require_equal(f"{name} as quoted", answer[name], quote[name])
    stage.show.say(
        f"201 {answer['id']}: the payer gave {roubles(answer['total'])}, of which "
        f"{roubles(answer['surcharge'])} is the surcharge."
    )
    _show_split(stage, bill, answer)
    _show_recipients(stage, answer)
    await _show_repeat(stage, planned, reply.content)
    left = (await bank.get(f"/v1/bills/{bill.subscriber_account}")).json["due_total"]
    require_equal("what the bill still owes", left, owed_of(bill) - answer["amount"])
    stage.show.holds(f"The bill owed {roubles(owed_of(bill))} and now owes {roubles(left)}.")


def _telling_bill(stage: Stage) -> Bill:
    """A bill with a debt and second levels; the region's second bill is kept for this."""
    return stage.region.bills[1]


def _curl(url: str, planned: Planned) -> list[str]:
    return [
        f"curl {url}/v1/payments -H 'Authorization: Bearer kp_…' \\",
        f"  -H 'Idempotency-Key: {planned.key}' -H 'Content-Type: application/json' \\",
        f"  -d '{orjson.dumps(planned.body).decode()}'",
    ]


def _show_split(stage: Stage, bill: Bill, answer: dict[str, Any]) -> None:
    rows: list[list[str | int | None] | None] = []
    for at, charge in enumerate(bill.charges):
        shares = [share for share in answer["shares"] if share["charge"] == at]
        told: list[str | int | None] = [
            charge.service, _TIERS[charge.tier], charge.due, answer["charges"][at]
        ]  # fmt: skip
        for share in shares:
            rows.append([*told, share["recipient"], _level(charge, share), share["amount"]])
            told = [None] * len(told)
        if not shares:
            rows.append([*told, None, None, None])
    received, shared = sum(answer["charges"]), sum_of(answer["shares"], "amount")
    total = ["amount", None, owed_of(bill), received, None, None, shared]
    columns = ["charge", "tier", "due>", "received>", "goes to", "level", "share>"]
    stage.show.table(columns, rows, total)
    require(received == shared == answer["amount"], "Expected the split to add up, was not so")
    stage.show.holds(f"Charges and shares add up to the amount, {roubles(answer['amount'])}.")


def _level(charge: Charge, share: dict[str, Any]) -> str:
    for entry in charge.second_level:
        if entry.recipient == share["recipient"]:
            return f"2nd {percent(entry.ppm)}"
    return "own"


def _show_recipients(stage: Stage, answer: dict[str, Any]) -> None:
    names = {one.id: one.name for one in stage.region.recipients}
    rows = [
        [one["recipient"], names[one["recipient"]], one["gross"], one["commission"], one["net"]]
        for one in answer["recipients"]
    ]
    sums = [sum_of(answer["recipients"], name) for name in ("gross", "commission", "net")]
    columns = ["recipient", "name~", "gross>", "commission>", "net>"]
    stage.show.table(columns, rows, ["together", None, *sums])
    require_equal("net and commission to add up to", sums[1] + sums[2], answer["amount"])


async def _show_repeat(stage: Stage, planned: Planned, first: bytes) -> None:
    again = await stage.banks[0].post("/v1/payments", planned.body, planned.key)
    require(again.replayed, "Expected Idempotency-Replayed: true, was absent")
    require(again.content == first, "Expected the first answer again, was another")
    stage.show.holds(
        "The same request again: 201, the same bytes, Idempotency-Replayed: true; nothing is paid"
        " twice."
    )


async def show_refusals(stage: Stage) -> None:
    """Sends what must not be taken and shows each refusal."""
    stage.show.chapter("Refused on purpose")
    bank, bill = stage.banks[0], stage.region.bills[1]
    good = stage.payers.showcase(bill)
    full = {**good.body, "method": {**good.body["method"], "masked_pan": _CARD_NUMBER}}
    used = f"{stage.run}-bills"
    closed = stage.region.bills[0]
    more = {
        **good.body,
        "subscriber_account": closed.subscriber_account,
        "amount": owed_of(closed) + 1,
    }
    first = stage.payers.showcase(bill)
    stage.books.take((await bank.post("/v1/payments", first.body, first.key)).json)
    other = {**first.body, "amount": first.body["amount"] + 1}
    fraction = {**good.body, "amount": 100.5}
    named = {**good.body, "designation": {"ballroom": 100}}
    tries = (
        ("a full card number in masked_pan", bank, full, good.key, 422, "pan_not_allowed"),
        ("a used key with another amount", bank, other, first.key, 422, "idempotency_key_reused"),
        ("no Idempotency-Key", bank, good.body, None, 400, "idempotency_key_missing"),
        ("kopecks with a fraction", bank, fraction, good.key, 400, "malformed"),
        ("a service that the bill lacks", bank, named, good.key, 400, "malformed"),
        ("more than a bill that takes no more", bank, more, good.key, 422, "overpayment"),
        ("the operator's key", stage.operator, good.body, f"{used}-x", 403, "forbidden"),
    )
    rows = []
    for what, caller, body, key, status, code in tries:
        reply = await caller.post("/v1/payments", body, key, expect=status)
        require_equal(f"the code for {what}", reply.code, code)
        rows.append([what, f"{status} {code}"])
    stage.show.table(["a payment with", "answer"], rows)
    stage.show.holds("Nothing was changed: the refused key is free, and takes a payment now.")
    stage.books.take((await bank.post("/v1/payments", good.body, good.key)).json)
