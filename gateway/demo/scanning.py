"""Codes: a bill's own is made and scanned, published ones are told apart, a changed link is not."""

from typing import Any

from gateway.demo.books import require, require_equal
from gateway.demo.public_qr import HOUSEHOLD_ACCOUNT, PUBLIC_LINK, PUBLIC_QR
from gateway.demo.roubles import roubles
from gateway.demo.stage import Stage

_SCANS = "/v1/scans"


async def scan(stage: Stage) -> None:
    """Nothing is paid here: a cashier looks at what is owed before it takes money."""
    stage.show.chapter("Codes on bills: made, scanned, told apart")
    await _make(stage)
    bank = stage.banks[0]
    changed = PUBLIC_LINK.replace("sum=12300", "sum=12400")
    rows: list[list[str | int | None]] = []
    warned: list[str] = []
    for what, payload in (
        ("QR of a real bill", PUBLIC_QR[-1].payload),
        ("SBP link of a bank", PUBLIC_LINK),
        ("Sberbank's Code 128", f"7707083893L{HOUSEHOLD_ACCOUNT}S299441"),
        ("Tomsk's barcode", "351100010534"),
    ):
        told = (await bank.post(_SCANS, {"payload": payload}, expect=200)).json
        bill = told["bill"]
        owed = None if bill is None else bill["due_total"]
        rows.append([what, told["kind"], told["subscriber_account"], told["amount"], owed])
        warned.append(", ".join(told["warnings"]))
    reply = await bank.post(_SCANS, {"payload": changed}, expect=422)
    require_equal("the code for a changed link", reply.code, "qr_crc_mismatch")
    rows.append(["its sum changed", reply.code, None, None, None])
    stage.show.table(["scanned", "answer", "account", "names>", "owed now>"], rows)
    require(rows[0][4] is not None, "Expected a bill on the account that the published code names")
    stage.show.holds("Each is known for what it is, and the household's open bill stands beside.")
    stage.show.say(f"The real bill, of another region and day, is told with {warned[0]}.")


async def _make(stage: Stage) -> None:
    """The code of a bill as a file, and what a scan of it says."""
    account = HOUSEHOLD_ACCOUNT
    bill = next(one for one in stage.region.bills if one.subscriber_account == account)
    path = f"/v1/bills/{account}/qr"
    text, drawing, picture = [
        (await stage.operator.get(f"{path}?format={form}")).content
        for form in ("text", "svg", "png")
    ]
    (stage.out / f"bill-{account}.svg").write_bytes(drawing)
    (stage.out / f"bill-{account}.png").write_bytes(picture)
    stage.show.verbatim([text.decode()])
    told: dict[str, Any] = (
        await stage.banks[0].post(_SCANS, picture, expect=200, kind="image/png")
    ).json
    for name, ours in (("subscriber_account", account), ("period", bill.period), ("warnings", [])):
        require_equal(f"{name} of the scanned picture", told[name], ours)
    owed = (await stage.banks[0].get(f"/v1/bills/{account}")).json["due_total"]
    require_equal("the sum of the scanned picture", told["amount"], owed)
    stage.show.holds(
        f"Drawn, scanned as a picture and read back: account {account}, {roubles(owed)}"
        f" ({stage.out / f'bill-{account}.png'} and .svg)."
    )
