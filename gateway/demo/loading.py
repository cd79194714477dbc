"""The operator's morning: recipients, surcharges, the bills of the whole region, and debts."""

import time

import msgspec
import orjson

from gateway.demo import debts
from gateway.demo.books import require_equal
from gateway.demo.payers import owed_of
from gateway.demo.roubles import percent, roubles
from gateway.demo.stage import Stage

_KINDS = {
    "supplier": "suppliers",
    "management_company": "management companies",
    "regional_operator": "regional operators",
    "centre": "settlement centre",
}
_NDJSON = "application/x-ndjson"


async def load(stage: Stage) -> None:
    """Loads everything and shows it; DemoFailed where a good line is refused or a bad one kept."""
    stage.show.chapter("The region: recipients, surcharges, bills, debts")
    await _recipients(stage)
    for method, rule in stage.region.surcharges.items():
        await stage.operator.put(f"/v1/surcharges/{method}", rule)
    shown = ", ".join(
        f"{method} {percent(rule['ppm'])}" for method, rule in stage.region.surcharges.items()
    )
    stage.show.say(f"Surcharges from above, on the payer: {shown}.")
    await _bills(stage)
    await debts.load(stage)


async def _recipients(stage: Stage) -> None:
    rows: list[list[str] | None] = []
    for kind in _KINDS:
        for one in stage.region.recipients:
            if one.body["kind"] != kind:
                continue
            await stage.operator.put(f"/v1/recipients/{one.id}", one.body)
            account = one.body["bank_account"]
            rule = _rule(one.body.get("commission"))
            requisites = f"{one.body['inn']} {account['number']}"
            rows.append([one.id, one.name, requisites, rule])
        rows.append(None)
    stage.show.table(["recipient", "name~", "INN, account", "commission>"], rows[:-1])
    kinds = [one.body["kind"] for one in stage.region.recipients]
    told = ", ".join(f"{kinds.count(kind)} {title}" for kind, title in _KINDS.items())
    stage.show.holds(f"{len(stage.region.recipients)} recipients registered: {told}.")
    wrong = dict(stage.region.centre.body)
    account = dict(wrong["bank_account"])
    account["number"] = account["number"][:-1] + str((int(account["number"][-1]) + 1) % 10)
    wrong["bank_account"] = account
    refused = await stage.operator.put("/v1/recipients/centre", wrong, expect=422)
    require_equal("the code for a mistyped account", refused.code, "account_key_invalid")
    stage.show.holds("An account with one wrong digit is refused: account_key_invalid.")


def _rule(rule: dict[str, int] | None) -> str:
    if rule is None:
        return "none"
    told = percent(rule["ppm"]) if "ppm" in rule else roubles(rule["fixed"])
    for name in ("min", "max"):
        if name in rule:
            told += f", {name} {roubles(rule[name])}"
    return told


async def _bills(stage: Stage) -> None:
    """All bills as one NDJSON body, and two bad lines among them, which must not spoil the rest."""
    bills = stage.region.bills
    lines = [msgspec.json.encode(bill) for bill in bills]
    first = orjson.loads(lines[0])
    stranger = {**first, "subscriber_account": "220000000"}
    stranger["charges"] = [{**first["charges"][0], "recipient": "nobody", "second_level": []}]
    rotten = {**first, "subscriber_account": "220000001", "charges": [{"service": "heating"}]}
    lines += [orjson.dumps(stranger), orjson.dumps(rotten)]
    started = time.perf_counter()
    reply = await stage.operator.post(
        "/v1/bills", b"\n".join(lines), f"{stage.run}-bills", expect=200, kind=_NDJSON
    )
    seconds = time.perf_counter() - started
    answer = reply.json
    require_equal("bills accepted", answer["accepted"], len(bills))
    require_equal(
        "bills refused",
        [(one["index"], one["code"]) for one in answer["refused"]],
        [(len(bills), "recipient_unknown"), (len(bills) + 1, "malformed")],
    )
    counts = [len(bill.charges) for bill in bills]
    in_debt = sum(any(charge.tier == 0 for charge in bill.charges) for bill in bills)
    stage.show.holds(
        f"{len(bills)} bills of {min(counts)} to {max(counts)} charges in {seconds:.1f} s, "
        f"{in_debt} of them with debts and penalties: "
        f"{roubles(sum(map(owed_of, bills)))} owed. Two bad lines named and left out."
    )
