"""What each row of a report tells beside money, in all formats: day, payer, address, report."""

import csv
import io
from typing import Any

import orjson
import pytest
from python_calamine import CalamineWorkbook

from gateway.settlement.report_columns import COLUMNS, payer_of
from tests.api.conftest import Gateway, bill, payment

PAYERS: dict[str, Any] = {
    "A-1": {"name": '=Иванов; "И"', "address": "ул. <Ленина> & 5, кв.\n7"},
    "A-2": "Петров П. П.",
    "A-3": {"name": 7, "address": ["x"], "phone": "1"},
    "A-4": {"address": "пр. Мира, 1"},
    "A-5": None,
}
TOLD = {
    "A-1": ('=Иванов; "И"', "ул. <Ленина> & 5, кв.\n7"),
    "A-2": ("Петров П. П.", ""),
    "A-3": ("", ""),
    "A-4": ("", "пр. Мира, 1"),
    "A-5": ("", ""),
}


async def test_rows_tell_payers_as_their_bills_do(region: Gateway) -> None:
    bills = [bill(account, **({"payer": who} if who else {})) for account, who in PAYERS.items()]
    answer = await region.send("POST", "/v1/bills", {"bills": bills}, role="operator", key="b")
    assert answer.json == {"accepted": 5, "refused": []}, answer.content
    for account in (*PAYERS, "A-1"):
        await region.pay(payment(subscriber_account=account, reference=...))
    closed = await region.send("POST", "/v1/settlement-batches", {}, role="operator", key="c")
    batch = closed.json
    path = f"/v1/settlement-batches/{batch['id']}/reports/heat?format="
    as_json, as_csv, as_xlsx = [
        (await region.send("GET", path + form, role="recipient:heat")).content
        for form in ("json", "csv", "xlsx")
    ]
    rows = orjson.loads(as_json)["rows"]
    assert len(rows) == 6
    for row in rows:
        expected = (batch["business_date"], *TOLD[row["subscriber_account"]], batch["id"])
        assert tuple(row[name] or "" for name in COLUMNS) == expected
    table = list(csv.DictReader(io.StringIO(as_csv.decode("utf-8-sig"), newline=""), delimiter=";"))
    for row, line in zip(rows, table, strict=True):
        told = [line[name] for name in COLUMNS]
        # Spreadsheets run what begins as a formula.
        assert [text.removeprefix("'") for text in told] == [row[name] or "" for name in COLUMNS]
        assert not told[1].startswith("=")
    sheet = CalamineWorkbook.from_filelike(io.BytesIO(as_xlsx)).get_sheet_by_index(0).to_python()
    head, *cells = sheet
    places = [head.index(name) for name in COLUMNS]
    for row, values in zip(rows, cells, strict=True):
        written = [str(row[name] or "").replace("\n", "") for name in COLUMNS]
        assert [values[at] for at in places] == written


@pytest.mark.parametrize(
    ("told", "name", "address"),
    [('"x"', "x", ""), ("7", "", ""), ("null", "", ""), ("[]", "", ""), ('{"name": null}', "", "")],
)
def test_a_payer_of_any_shape(told: str, name: str, address: str) -> None:
    assert (payer_of(told).name, payer_of(told).address) == (name, address)
