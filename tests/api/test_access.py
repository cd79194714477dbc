"""Who may do what: roles by routes, own things by callers, and keys that are not in force."""

import hashlib

import asyncpg
import pytest

from gateway.api import table
from gateway.api.routes import EVERYBODY, Route, RouteTable
from gateway.config import StartRefused
from tests.api.conftest import Gateway, payment, recipient, served

ROLES = ("acquirer", "operator", "approver", "auditor", "recipient:heat")
PAYMENT = "pay_" + "0" * 32
BATCH = "sb_" + "0" * 32

# What the contract says, route by route: a letter for each role that may, in the order of ROLES.
MATRIX = {
    "POST /v1/payments": "a----",
    "GET /v1/payments": "ao-u-",
    "POST /v1/payments/bulk": "a----",
    "GET /v1/payments/{id}": "ao-u-",
    "POST /v1/payments/{id}/refunds": "a----",
    "GET /v1/payments/{id}/refunds/{refund}": "ao-u-",
    "POST /v1/payments/{id}/resolve": "-o---",
    "POST /v1/quotes": "a----",
    "POST /v1/payments/{id}/corrections": "-o---",
    "POST /v1/payments/{id}/chargebacks": "ao---",
    "POST /v1/payments/{id}/chargebacks/{chargeback}/reversals": "ao---",
    "GET /v1/receivables": "-opur",
    "POST /v1/receivables/{recipient}": "-o---",
    "POST /v1/debt-requests/{id}/approve": "--p--",
    # No key: who calls back is known by the signature, and without one it is forbidden or unknown.
    "POST /v1/acquirers/{name}/callbacks": "signed",
    "GET /v1/acquirers/{name}/callbacks": "signed",
    "POST /v1/bills": "-o---",
    "GET /v1/bills/{subscriber_account}/qr": "ao-u-",
    "GET /v1/bills/{subscriber_account}": "ao-u-",
    "POST /v1/scans": "ao---",
    "GET /v1/recipients": "-o-u-",
    "PUT /v1/recipients/{id}": "-o---",
    "PUT /v1/surcharges/{method}": "-o---",
    "GET /v1/recipients/{id}/versions": "-opu-",
    "GET /v1/surcharges/{method}/versions": "-opu-",
    "POST /v1/recipients/{id}/versions/{version}/confirm": "--p--",
    "POST /v1/surcharges/{method}/versions/{version}/confirm": "--p--",
    "GET /v1/settlement-batches/{id}/changes": "-opu-",
    "POST /v1/agreements": "-o---",
    "POST /v1/agreements/{id}/approve": "--p--",
    "POST /v1/agreements/{id}/reject": "--p--",
    "GET /v1/agreements": "-opur",
    "GET /v1/agreements/{id}": "-opur",
    "GET /v1/payments/{id}/agreements": "-o-u-",
    "GET /v1/settlement-batches/{id}/acquirer-fees": "-o-u-",
    "POST /v1/acquirer-reports": "a----",
    "GET /v1/acquirer-reports/{id}": "ao-u-",
    "GET /v1/report-policies/{caller}": "-o-u-",
    "PUT /v1/report-policies/{caller}": "-o---",
    "POST /v1/settlement-batches": "-o---",
    "POST /v1/settlement-batches/{id}/approve": "--p--",
    "POST /v1/settlement-batches/{id}/send": "-o---",
    "POST /v1/settlement-batches/{id}/cancel": "--p--",
    "GET /v1/settlement-batches/{id}/payout-file": "-o-u-",
    "GET /v1/settlement-batches/{id}/reports/{recipient}": "-o-ur",
    "POST /v1/bank-statements": "-o---",
    "GET /v1/bank-statements/{id}": "-o-u-",
    "POST /v1/obligations": "-o---",
    "POST /v1/obligation-files": "-o---",
    "GET /v1/obligations": "-opur",
    "GET /v1/obligations/{id}": "-opur",
    "POST /v1/obligations/{id}/withdraw": "-o---",
    "POST /v1/obligation-withdrawals/{id}/approve": "--p--",
    "GET /v1/arrival-terms/{caller}": "-opu-",
    "PUT /v1/arrival-terms/{caller}": "-o---",
    "GET /v1/payments/{id}/arrival": "aopu-",
    "GET /v1/reconciliation": "-opu-",
    "GET /v1/discrepancies": "-opu-",
    "GET /v1/discrepancies/{id}": "-opu-",
    "POST /v1/discrepancies/{id}/resolve": "-o---",
    "POST /v1/discrepancies/{id}/confirm": "--p--",
    "POST /v1/discrepancies/{id}/reject": "--p--",
    "GET /v1/restores": "-opu-",
    "POST /v1/restores": "-o---",
    "POST /v1/restores/{id}/lines": "-o---",
    "POST /v1/restores/{id}/lift": "-o---",
    "POST /v1/restore-lifts/{id}/approve": "--p--",
    "GET /v1/settlement-batches": "-opur",
    "GET /v1/settlement-batches/{id}": "-opur",
    "GET /v1/recipients/{id}": "-o-ur",
    "GET /v1/recipients/{id}/coming": "-o-ur",
    "GET /v1/settlement-batches/{id}/reports/{recipient}/act": "-o-ur",
    "GET /v1/payments/{id}/explanation": "ao-ur",
    "GET /v1/webhooks": "-o-ur",
    "GET /v1/webhooks/{name}": "-o-ur",
    "PUT /v1/webhooks/{name}": "-o--r",
    "DELETE /v1/webhooks/{name}": "-o--r",
    "PUT /v1/webhooks/{name}/secret": "-o--r",
    "GET /v1/webhooks/{name}/deliveries": "-o-ur",
    "POST /v1/webhooks/{name}/test": "-o--r",
    "GET /v1/events": "-o-ur",
    "POST /v1/events/{id}/redeliver": "-o--r",
    "GET /osmp/{secret}": "a----",
    "POST /osmp/{secret}": "a----",
    "GET /osmp": "a----",
    "POST /osmp": "a----",
    "GET /sber/{secret}": "a----",
    "POST /sber/{secret}": "a----",
    "GET /sber": "a----",
    "POST /sber": "a----",
    "GET /healthz": "*",
    "GET /readyz": "*",
    "GET /metrics": "*",
    "GET /openapi.json": "*",
    "GET /docs": "*",
    "GET /docs/rapidoc-min.js": "*",
}
LETTERS = dict(zip(ROLES, "aopur", strict=True))


def test_the_matrix_names_every_route() -> None:
    assert [f"{route.method} {route.path}" for route in table.routes()] == sorted(
        MATRIX, key=[f"{r.method} {r.path}" for r in table.routes()].index
    )


def place(path: str, key: str = "nobody-has-this") -> str:
    kind = BATCH if path.startswith("/v1/settlement") else PAYMENT
    for name, value in (
        ("{subscriber_account}", "220012345"),
        ("{recipient}", "heat"),
        ("{method}", "card"),
        ("{secret}", key),
        ("{id}", "heat" if "recipients" in path else kind),
    ):
        path = path.replace(name, value)
    return path


async def test_roles_by_routes(region: Gateway) -> None:
    for entry, allowed in MATRIX.items():
        method, path = entry.split()
        body = None if method in ("GET", "DELETE") else b"{}"
        stranger = await region.send(method, place(path), body)
        if allowed == "*":
            assert stranger.status == 200, entry
            continue
        if allowed == "signed":
            assert (stranger.status, stranger.code) == (404, "not_found"), entry
            continue
        assert (stranger.status, stranger.code) == (401, "unauthenticated"), entry
        assert stranger.headers["WWW-Authenticate"].startswith("Bearer")
        for role in ROLES:
            to = place(path, region.secrets[role])
            answer = await region.send(method, to, body, role=role, key=region.key())
            if LETTERS[role] in allowed:
                assert answer.status not in (401, 403), (entry, role, answer.content)
            else:
                assert (answer.status, answer.code) == (403, "forbidden"), (entry, role)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "Bearer kp_nobody_has_this_secret",
        "Bearer  a b",
        "kp_test_acquirer_0123456789",
        "Bearer ключ-ключ-ключ",
        "Bearer " + "x" * 300,
    ],
)
async def test_other_credentials_are_unauthenticated(gateway: Gateway, header: str) -> None:
    answer = await gateway.send("GET", "/v1/payments", headers={"Authorization": header})
    assert (answer.status, answer.code) == (401, "unauthenticated")


async def test_the_scheme_is_of_any_case_and_a_revoked_key_is_refused(gateway: Gateway) -> None:
    secret = gateway.secrets["acquirer2"]
    conn = await asyncpg.connect(gateway.database_url)
    try:
        await conn.execute(
            "UPDATE api_keys SET revoked_at = now() WHERE secret_sha256 = $1",
            hashlib.sha256(secret.encode()).digest(),
        )
    finally:
        await conn.close()
    headers = {"Authorization": f"bearer {secret}"}
    assert (await gateway.send("GET", "/v1/payments", headers=headers)).status == 401
    headers = {"Authorization": f"BEARER {gateway.secrets['acquirer']}"}
    assert (await gateway.send("GET", "/v1/payments", headers=headers)).status == 200


async def test_an_acquirer_finds_only_its_own_payments(region: Gateway) -> None:
    taken = (await region.pay(payment())).json["id"]
    for role, status in (("acquirer", 200), ("acquirer2", 404), ("operator", 200)):
        answer = await region.send("GET", f"/v1/payments/{taken}", role=role)
        assert answer.status == status, role
    listed = await region.send("GET", "/v1/payments", role="acquirer2")
    assert listed.json["payments"] == []
    refund = await region.send(
        "POST", f"/v1/payments/{taken}/refunds", {"amount": 1}, role="acquirer2", key="r"
    )
    assert (refund.status, refund.code) == (404, "not_found")


@pytest.mark.parametrize("path", [PAYMENT, "pay_0", "ref_" + "0" * 32, "0" * 32, "pay_" + "G" * 32])
async def test_ids_that_are_not_there(region: Gateway, path: str) -> None:
    answer = await region.send("GET", f"/v1/payments/{path}", role="operator")
    assert (answer.status, answer.code) == (404, "not_found")


async def test_settlement_by_two_people_and_reports_to_their_recipient(region: Gateway) -> None:
    centre = recipient("uk", kind="centre")
    await region.send("PUT", "/v1/recipients/centre", centre, role="operator")
    await region.pay(payment())
    closed = await region.send("POST", "/v1/settlement-batches", {}, role="operator", key="c")
    assert closed.status == 201, closed.content
    batch = closed.json["id"]
    assert closed.json["payments"] == 1
    base = f"/v1/settlement-batches/{batch}"
    early = await region.send("GET", f"{base}/payout-file?format=1c", role="operator")
    assert (early.status, early.code) == (409, "state_conflict")
    approved = await region.send("POST", f"{base}/approve", b"", role="approver", key="a")
    assert approved.status == 200, approved.content
    assert approved.json["state"] == "approved"
    twice = await region.send("POST", f"{base}/approve", {}, role="approver", key="a")
    assert (twice.content, twice.headers["Idempotency-Replayed"]) == (approved.content, "true")
    files = [
        await region.send("GET", f"{base}/payout-file?format=1c", role="operator") for _ in "12"
    ]
    assert files[0].content == files[1].content
    assert files[0].content.startswith(b"1CClientBankExchange\r\n")
    other = await region.send("GET", f"{base}/payout-file?format=fax", role="operator")
    assert (other.status, other.code) == (400, "malformed")
    own = await region.send("GET", f"{base}/reports/heat?format=csv", role="recipient:heat")
    assert own.status == 200, own.content
    assert own.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert own.content.startswith(b"\xef\xbb\xbfaccepted_at;subscriber_account;service;period;")
    assert (await region.send("GET", f"{base}/reports/heat?format=json", role="auditor")).json
    foreign = await region.send("GET", f"{base}/reports/waste", role="recipient:heat")
    assert (foreign.status, foreign.code) == (403, "forbidden")


async def test_who_closed_a_batch_does_not_approve_it(region: Gateway) -> None:
    conn = await asyncpg.connect(region.database_url)
    secret = "kp_test_same_person_0123456789"
    try:
        number = await conn.fetchval(
            "INSERT INTO callers (name, role) VALUES ('operator', 'approver') RETURNING number"
        )
        await conn.execute(
            "INSERT INTO api_keys (secret_sha256, caller) VALUES ($1, $2)",
            hashlib.sha256(secret.encode()).digest(),
            number,
        )
    finally:
        await conn.close()
    closed = await region.send("POST", "/v1/settlement-batches", {}, role="operator", key="c")
    answer = await region.send(
        "POST",
        f"/v1/settlement-batches/{closed.json['id']}/approve",
        {},
        key="a",
        headers={"Authorization": f"Bearer {secret}"},
    )
    assert (answer.status, answer.code) == (403, "forbidden")


async def test_the_rate_limit_is_a_callers_own(database_url: str) -> None:
    async with served(database_url, rate_limit_per_s=5) as gateway:
        answers = [await gateway.send("GET", "/v1/payments", role="acquirer") for _ in range(30)]
        refused = [answer for answer in answers if answer.status == 429]
        assert refused
        assert refused[0].code == "rate_limited"
        assert int(refused[0].headers["Retry-After"]) >= 1
        assert (await gateway.send("GET", "/v1/payments", role="operator")).status == 200


async def none(*_: object) -> None: ...


@pytest.mark.parametrize(
    "changes",
    [
        {"roles": frozenset()},
        {"roles": frozenset({"root"})},
        {"method": "TRACE"},
        {"method": "GET", "keyed": True},
    ],
)
def test_a_route_that_leaves_anything_open_fails_at_start(changes: dict[str, object]) -> None:
    good = {"method": "POST", "path": "/x", "name": "x", "view": none, "roles": EVERYBODY}
    RouteTable([Route(**good)])  # type: ignore[arg-type]
    with pytest.raises(StartRefused):
        RouteTable([Route(**(good | changes))])  # type: ignore[arg-type]
    with pytest.raises(StartRefused):
        RouteTable([Route(**good), Route(**good)])  # type: ignore[arg-type]
