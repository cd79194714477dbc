"""Recipients: what PUT takes can be paid, and what could not be paid is refused at once."""

from typing import Any

import pytest

from tests.api.conftest import BIC, RECIPIENTS, Gateway

_, INN, ACCOUNT = RECIPIENTS["heat"]


def recipient(**changes: Any) -> dict[str, Any]:
    body = {
        "name": "АО «Тепло»",
        "kind": "supplier",
        "inn": INN,
        "bank_account": {"bic": BIC, "number": ACCOUNT},
    }
    return body | changes


@pytest.mark.parametrize(
    ("what", "changes", "status", "code"),
    [
        ("a wrong digit in the account",
         {"bank_account": {"bic": BIC, "number": ACCOUNT[:-1] + "1"}}, 422, "account_key_invalid"),
        ("an account of another bank",
         {"bank_account": {"bic": "044525225", "number": ACCOUNT}}, 422, "account_key_invalid"),
        ("a correspondent account of another bank",
         {"bank_account": {"bic": BIC, "number": ACCOUNT,
                           "correspondent": "30101810400000000225"}}, 422, "account_key_invalid"),
        ("a BIC of eight digits",
         {"bank_account": {"bic": "04017360", "number": ACCOUNT}}, 400, "malformed"),
        *((f"a bank called {name!r}",
           {"bank_account": {"bic": BIC, "number": ACCOUNT, "bank_name": name}}, status, code)
          for name, status, code in (
              ("", 400, "malformed"), ("я" * 161, 400, "malformed"), ("a\nb", 400, "malformed"),
              ("Банк 4111 1111 1111 1111", 422, "pan_not_allowed"))),
        ("an INN whose check digit does not hold", {"inn": "2224123451"}, 422, "inn_invalid"),
        ("an INN that no order can carry, taken on trust",
         {"inn": "0012345678", "accept_inn": True}, 422, "inn_invalid"),
        ("a KPP of eight digits", {"kpp": "22250100"}, 400, "malformed"),
        ("a name with a control character", {"name": "abc\u007fdef"}, 400, "malformed"),
        ("a name on two lines", {"name": "abc\ndef"}, 400, "malformed"),
        ("a name outside windows-1251", {"name": "熱"}, 400, "malformed"),
        ("a name too long", {"name": "я" * 161}, 400, "malformed"),
        ("a name of blanks", {"name": "  "}, 400, "malformed"),
        ("a card number for a name", {"name": "4111 1111 1111 1111"}, 422, "pan_not_allowed"),
        ("a kind that is none", {"kind": "bank"}, 400, "malformed"),
        ("a commission above all", {"commission": {"ppm": 1_000_001}}, 422, "fee_out_of_range"),
    ],
)  # fmt: skip
async def test_what_could_not_be_paid_is_refused(
    region: Gateway, what: str, changes: dict[str, Any], status: int, code: str
) -> None:
    answer = await region.send("PUT", "/v1/recipients/new", recipient(**changes), role="operator")
    assert (answer.status, answer.code) == (status, code), what
    assert (await region.send("GET", "/v1/recipients/new", role="operator")).status == 404


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"kpp": "222501001"},
        {"bank_account": {"bic": BIC, "number": ACCOUNT, "bank_name": "ПАО «Банк»"}},
        {"name": "ООО №1 «Ёлка» & Ko"},
        {"inn": "2224123451", "accept_inn": True},
        {"commission": {"ppm": 15_000, "min": 100, "max": 5_000}},
    ],
)
async def test_what_can_be_paid_is_taken(region: Gateway, changes: dict[str, Any]) -> None:
    answer = await region.send("PUT", "/v1/recipients/new", recipient(**changes), role="operator")
    assert answer.status == 200, answer.content
    shown = (await region.send("GET", "/v1/recipients/new", role="operator")).json
    assert shown["inn"] == changes.get("inn", INN)
    told = changes.get("bank_account", {})
    assert shown["bank_account"]["bank_name"] == told.get("bank_name")
