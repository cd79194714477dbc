"""What follows some payments: money in suspense finds its owner, and money goes back."""

from gateway.demo.books import require, require_equal, sum_of
from gateway.demo.paying import Taken
from gateway.demo.roubles import roubles
from gateway.demo.stage import Stage

# Every so many refunds one gives the whole payment back, in two steps.
_WHOLE_EVERY = 4


async def place_suspense(stage: Stage, taken: list[Taken]) -> None:
    """Takes cash for an account that nobody has; the operator finds whose it was."""
    stage.show.chapter("Suspense: money whose account nobody knows")
    bank, right = stage.banks[1], stage.region.bills[2].subscriber_account
    wrong = f"{right}0"
    planned = stage.payers.mistyped(wrong)
    answer = (await bank.post("/v1/payments", planned.body, planned.key)).json
    stage.books.take(answer)
    require_equal(f"the state of {answer['id']}", answer["state"], "suspense")
    stage.show.say(
        f"Cash for account {wrong}, which does not exist: 201 {answer['id']},"
        f" {roubles(answer['amount'])} held whole, nobody's."
    )
    path = f"/v1/payments/{answer['id']}"
    key = f"{stage.run}-resolve"
    await stage.operator.post(f"{path}/resolve", {"subscriber_account": right}, key, expect=200)
    placed = (await bank.get(path)).json
    require_equal("the state of a resolved payment", placed["state"], "accepted")
    stage.books.resolve(placed)
    stage.show.holds(
        f"The operator finds that {right} was meant: {roubles(placed['amount'])} split onto its"
        f" bill in {len(placed['shares'])} shares."
    )
    held = [one for one in taken if one.answer["state"] == "suspense"]
    require(len(held) >= 2, f"Expected codes of strangers in suspense, was {len(held)}")
    path = f"/v1/payments/{held[0].answer['id']}/refunds"
    body = {"amount": held[0].answer["amount"]}
    back = await held[0].caller.post(path, body, f"{stage.run}-refund-held")
    stage.books.refund(back.json)
    stage.show.holds(
        f"{len(held)} payments by published codes belong to no account here; one goes back to its"
        f" payer, {roubles(body['amount'])}, and {roubles(stage.books.suspense)} stay in suspense."
    )


async def refund(stage: Stage, taken: list[Taken]) -> None:
    """Refunds some payments in part, some whole in two steps, and one more than there is."""
    stage.show.chapter("Refunds: shares given back, never split anew")
    split = [one for one in taken if one.answer["state"] == "accepted"]
    step = max(1, len(split) // stage.size.refunds)
    chosen = split[::step][: stage.size.refunds]
    for number, one in enumerate(chosen):
        await _refund(stage, one, number)
    last = chosen[0]
    path = f"/v1/payments/{last.answer['id']}/refunds"
    body = {"amount": last.answer["amount"]}
    refused = await last.caller.post(path, body, f"{stage.run}-refund-more", expect=422)
    require_equal("the code of a refund too large", refused.code, "refund_exceeds_payment")
    stage.show.holds(
        f"{stage.books.refunds} refunds with the one out of suspense,"
        f" {roubles(stage.books.refunded)}; one of more than was left is refused:"
        " refund_exceeds_payment."
    )


async def correct(stage: Stage, taken: list[Taken]) -> None:
    """Moves a part of a payment to the account that its payer meant."""
    stage.show.chapter("A correction: it was meant for another account")
    split = [one for one in taken if one.answer["state"] == "accepted"]
    payment = split[-1].answer
    wrong = payment["subscriber_account"]
    # Whatever the payment that happened to be the last, its bill takes more than it owes.
    accounts = (
        bill.subscriber_account for bill in stage.region.bills if bill.overpayment != "reject"
    )
    right = next(account for account in accounts if account != wrong)
    amount = max(1, payment["amount"] // 2)
    body = {
        "amount": amount,
        "subscriber_account": right,
        "reason": "the payer named a neighbour's account",
        "document": "letter 17",
    }
    path = f"/v1/payments/{payment['id']}"
    answer = (
        await stage.operator.post(f"{path}/corrections", body, f"{stage.run}-correction")
    ).json
    require_equal("what a correction moves", answer["amount"], amount)
    stage.books.correct(answer)
    told = (await split[-1].caller.get(path)).json
    kinds = [entry["kind"] for entry in told["entries"]]
    require("correction" in kinds, f"Expected the payment to tell its correction, was {kinds}")
    stage.show.holds(
        f"{roubles(amount)} of {payment['id']} moved from {wrong} to {right}, commission and all:"
        f" {answer['id']}, as new rows in both reports; nothing of the payment itself changed."
    )


async def _refund(stage: Stage, one: Taken, number: int) -> None:
    payment = one.answer
    path = f"/v1/payments/{payment['id']}/refunds"
    first = max(1, payment["amount"] // 3)
    steps = [first]
    if number % _WHOLE_EVERY == _WHOLE_EVERY - 1 and payment["amount"] > first:
        steps.append(payment["amount"] - first)
    for place, amount in enumerate(steps):
        key = f"{stage.run}-refund-{number}-{place}"
        answer = (await one.caller.post(path, {"amount": amount}, key)).json
        require_equal("a refund's shares to add up to", sum_of(answer["shares"], "amount"), amount)
        stage.books.refund(answer)
        if number == place == 0:
            rows = [[s["service"], s["recipient"], s["amount"]] for s in answer["shares"]]
            stage.show.say(
                f"A third of {payment['id']}, {roubles(amount)} of {roubles(payment['amount'])}:"
            )
            stage.show.table(["charge", "given back by", "amount>"], rows, ["refund", None, amount])
    state = (await one.caller.get(f"/v1/payments/{payment['id']}")).json["state"]
    expected = "refunded" if len(steps) > 1 else "partially_refunded"
    require_equal(f"the state of {payment['id']}", state, expected)
