"""Every share explains itself: what the route tells is computed again by the public script, which
shares no code with the gateway, and any figure that is altered shows.
"""

import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from gateway.api.explanations import ExplanationShown
from gateway.flows import explain_payment
from tests.api.conftest import RECIPIENTS, Gateway, payment, recipient
from tests.rules.sources import ROOT

SCRIPT = Path(ROOT) / "docs" / "recompute.py"
WHY = {"reason": "the payer erred", "document": "letter 17"}
SERVICES = ("heating", "waste", "water", "=roof", "lift")


def recomputed(*paths: Path | str, said: str = "") -> tuple[int, str]:
    """Exit status and words of the script, in a Python without our packages."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", SCRIPT, *paths],
        input=said, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


def sealed(told: dict[str, Any]) -> dict[str, Any]:
    """An explanation with a digest of what it says now, as whoever alters it on purpose would."""
    content = {name: value for name, value in told.items() if name != "digest"}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return {**content, "digest": sha256(text.encode()).hexdigest()}


async def explained(region: Gateway, id_: str, role: str = "operator") -> dict[str, Any]:
    answer = await region.send("GET", f"/v1/payments/{id_}/explanation", role=role)
    assert answer.status == 200, answer.content
    msgspec.json.decode(answer.content, type=ExplanationShown, strict=True)
    told: dict[str, Any] = answer.json
    return told


def a_bill(dice: Random, account: str, period: str = "2026-10") -> dict[str, Any]:
    """Several charges a service, tiers, second levels, zero dues, weights, any policy."""
    charges: list[dict[str, Any]] = []
    for _ in range(dice.randint(1, 7)):
        charge: dict[str, Any] = {
            "service": dice.choice(SERVICES),
            "recipient": dice.choice(list(RECIPIENTS)),
            "due": dice.choice([0, 1, 3, 7, dice.randint(1, 90_000)]),
            "tier": dice.randint(0, 2),
        }
        if dice.random() < 0.5:
            charge["weight"] = dice.randint(0, 5_000)
        if dice.random() < 0.6:
            charge["second_level"] = [
                {"recipient": name, "ppm": dice.choice([1, 333_333, 50_000])}
                for name in dice.sample(list(RECIPIENTS), dice.randint(1, 2))
            ]
        charges.append(charge)
    charges[0]["weight"] = dice.randint(1, 9)
    bill: dict[str, Any] = {"subscriber_account": account, "period": period, "charges": charges}
    if dice.random() < 0.3:
        bill["overpayment"] = {"charge": dice.randrange(len(charges))}
    return bill


async def random_account(region: Gateway, dice: Random, account: str) -> list[str]:
    """Bills, payments with and without designation, refunds, corrections, chargebacks; the ids."""
    taken: list[str] = []
    key = f"{account}-{{}}".format
    for period in ("2026-10", "2026-11"):
        bill = a_bill(dice, account, period)
        answer = await region.send(
            "POST", "/v1/bills", {"bills": [bill]}, role="operator", key=key(period)
        )
        assert answer.json == {"accepted": 1, "refused": []}, answer.content
        for n in range(4):
            amount = dice.choice([1, 2, 5, dice.randint(1, 200_000)])
            named = {one["service"]: dice.randint(0, amount // 2) for one in bill["charges"][:1]}
            body = payment(
                subscriber_account=account, reference=...,
                **{"amount": ..., dice.choice(["amount", "total"]): amount + 200},
                designation=named if dice.random() < 0.4 else {},
                method={"type": "cash", "terminal": "T1"} if dice.random() < 0.5 else
                {"type": "card", "network": "visa"},
            )  # fmt: skip
            answer = await region.pay(body)
            assert answer.status == 201, answer.content
            id_, left = answer.json["id"], answer.json["amount"]
            services = sorted({share["service"] for share in answer.json["shares"]})
            taken.append(id_)
            for step in range(dice.randint(0, 3)):
                what = dice.choice(["refunds", "corrections", "chargebacks", "period", "named"])
                part = max(1, left // dice.randint(1, 3))
                body = {"refunds": {"amount": part},
                        "corrections": {**WHY, "amount": part, "subscriber_account": "K-other"},
                        "period": {**WHY, "amount": part, "period": "2026-01"},
                        "named": {**WHY, "services": dict.fromkeys(services, 1),
                                  "designation": {services[0]: len(services)}},
                        "chargebacks": {"amount": part, "case": key(f"{n}{step}{period}"),
                                        "reason_code": "10.4"}}[what]  # fmt: skip
                route = "corrections" if what in ("period", "named") else what
                role = "operator" if route == "corrections" else "acquirer"
                answer = await region.send(
                    "POST", f"/v1/payments/{id_}/{route}", body, role=role, key=region.key()
                )
                assert answer.status in (201, 409, 422), answer.content
                if what == "chargebacks" and answer.status == 201 and dice.random() < 0.7:
                    won = {"amount": max(1, part // 2), "document": "verdict 3"}
                    path = f"/v1/payments/{id_}/chargebacks/{answer.json['id']}/reversals"
                    answer = await region.send("POST", path, won, role="operator", key=region.key())
                    assert answer.status == 201, answer.content
    return taken


@pytest.fixture
async def charged(region: Gateway) -> Gateway:
    """The region with commissions and surcharges, and a second account."""
    for id_, rule in (("heat", {"ppm": 15_000}), ("waste", {"ppm": 7_777, "fixed": 3, "max": 900})):
        body = recipient(id_, commission=rule)
        assert (await region.send("PUT", f"/v1/recipients/{id_}", body, role="operator")).json
    for method, rule in (("card", {"ppm": 10_000, "min": 100}), ("cash", {"ppm": 3_333})):
        assert (await region.send("PUT", f"/v1/surcharges/{method}", rule, role="operator")).json
    other = {"subscriber_account": "K-other", "period": "2026-10",
             "charges": [{"service": "lift", "recipient": "uk", "due": 777,
                          "second_level": [{"recipient": "heat", "ppm": 1}]}]}  # fmt: skip
    await region.send("POST", "/v1/bills", {"bills": [other]}, role="operator", key="other")
    return region


@pytest.mark.parametrize("seed", range(4))
async def test_random_payments_are_computed_again(
    charged: Gateway, tmp_path: Path, seed: int
) -> None:
    dice = Random(seed)
    taken = await random_account(charged, dice, f"R-{seed}")
    closed = await charged.send("POST", "/v1/settlement-batches", {}, role="operator", key="c")
    batch = closed.json["id"]
    everything = [await explained(charged, id_) for id_ in taken]
    text = "\n".join(json.dumps(one, ensure_ascii=False) for one in everything)
    status, words = recomputed("-", said=text)
    assert status == 0, words
    for told, id_ in zip(everything, taken, strict=True):
        shown = (await charged.send("GET", f"/v1/payments/{id_}", role="auditor")).json
        first = told["splits"][0]["shares"]
        names = ("charge", "service", "recipient", "amount")
        assert [{n: one[n] for n in names} for one in first] == [
            {n: one[n] for n in names} for one in shown["shares"]
        ]
    for id_ in RECIPIENTS:
        role = f"recipient:{id_}"
        own: list[Any] = []
        for whole in everything:
            mine = any(s["recipient"] == id_ for one in whole["splits"] for s in one["shares"])
            path = f"/v1/payments/{whole['payment']}/explanation"
            answer = await charged.send("GET", path, role=role)
            assert answer.status == (200 if mine else 404), (id_, answer.content)
            if mine:
                own.append(answer.json)
                assert {s["recipient"] for s in shares_of(answer.json)} == {id_}
                kept = [s for s in shares_of(whole) if s["recipient"] == id_]
                assert shares_of(answer.json) == kept
        explanations = tmp_path / f"{id_}-own.json"
        explanations.write_text("\n".join(json.dumps(one) for one in own))
        for form in ("csv", "json"):
            where = f"/v1/settlement-batches/{batch}/reports/{id_}?format={form}"
            report = await charged.send("GET", where, role=role)
            if report.status == 404:
                assert not own
                continue
            file = tmp_path / f"{id_}.{form}"
            file.write_bytes(report.content)
            status, words = recomputed(explanations, "--report", file, "--recipient", id_)
            assert status == 0, words


def shares_of(told: dict[str, Any]) -> list[dict[str, Any]]:
    return [share for one in (*told["splits"], *told["taken"]) for share in one["shares"]]


def figures(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every number in an explanation."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from figures(one, (*place, name))
    elif isinstance(value, list):
        for at, one in enumerate(value):
            yield from figures(one, (*place, at))
    elif type(value) is int:
        yield place


def altered(told: dict[str, Any], place: tuple[Any, ...]) -> dict[str, Any]:
    other = copy.deepcopy(told)
    inner: Any = other
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] += 1
    return other


async def one_of_each(region: Gateway) -> str:
    """A payment that was refunded in part, and corrected."""
    taken = await region.pay(payment(amount=55_555, designation={"waste": 11_111}))
    id_ = str(taken.json["id"])
    for route, body, role in (
        ("refunds", {"amount": 1_234}, "acquirer"),
        ("corrections", {**WHY, "amount": 777, "subscriber_account": "K-other"}, "operator"),
    ):
        answer = await region.send(
            "POST", f"/v1/payments/{id_}/{route}", body, role=role, key=region.key()
        )
        assert answer.status == 201, answer.content
    return id_


def rule_at(told: dict[str, Any], place: tuple[Any, ...]) -> str | None:
    """The rule of the working that a figure is in."""
    inner: Any = told
    for step in place[:-1]:
        inner = inner[step]
    rule = inner.get("rule")
    return rule if isinstance(rule, str) else None


# What follows from other figures that are told, in every view.
FOLLOWS = {
    *("amount", "floor", "remainder", "total", "weights", "commission", "net", "received"),
    *("due", "paid", "owed"),
}


async def test_every_figure_that_is_altered_shows(
    charged: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Altered by mistake, any of them is not what the digest was made of. Altered on purpose, with
    a digest made anew, it shows wherever it follows from others; who sees the whole bill is told
    of nobody's place among others that is not his."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    script = __import__("recompute")
    id_ = await one_of_each(charged)
    for role in ("operator", "recipient:heat", "recipient:uk"):
        told = await explained(charged, id_, role)
        status, words = recomputed("-", said=json.dumps(told))
        assert (status, words) == (
            0,
            f"{len(shares_of(told))} shares, 0 rows of reports, 0 that do not agree\n",
        )
        places = list(figures(told))
        assert len(places) > 40
        follows = FOLLOWS | ({"rank", "leftover", "charge"} if role == "operator" else set())
        for place in places:
            other = altered(told, place)
            assert list(script.wrong_explanation(other)), place
            if "shares" in place or place[-1] in FOLLOWS:
                seen = list(script.wrong_explanation(sealed(other)))
                # How much more than enough there was is told by others' figures.
                enough = place[-1] in ("total", "weights") and rule_at(told, place) == "whole"
                free = place[-1] not in follows or (enough and role != "operator")
                assert seen or free, (role, place)
    other = altered(await explained(charged, id_), ("splits", 0, "shares", 0, "amount"))
    status, words = recomputed("-", said=json.dumps(other))
    assert status == 1
    assert id_ in words


async def test_the_report_of_another_batch_or_an_altered_row_is_named(
    charged: Gateway, tmp_path: Path
) -> None:
    id_ = (await charged.pay(payment())).json["id"]
    closed = await charged.send("POST", "/v1/settlement-batches", {}, role="operator", key="c")
    path = f"/v1/settlement-batches/{closed.json['id']}/reports/heat?format=json"
    report = (await charged.send("GET", path, role="recipient:heat")).json
    own = tmp_path / "own.json"
    own.write_text(json.dumps(await explained(charged, id_, "recipient:heat")))
    file = tmp_path / "report.json"
    for name in ("gross_kopecks", "commission_kopecks", "net_kopecks"):
        other = copy.deepcopy(report)
        other["rows"][0][name] += 1
        file.write_text(json.dumps(other))
        status, words = recomputed(own, "--report", file)
        assert status == 1, name
        assert "row 1" in words
    report["rows"][0]["payment"] = "pay_" + "0" * 32
    file.write_text(json.dumps(report))
    assert recomputed(own, "--report", file)[0] == 1
    assert recomputed("--report", file)[0] == 0
    report["totals"]["payable"] += 1
    file.write_text(json.dumps(report))
    assert recomputed("--report", file)[0] == 1


async def test_agreements_and_their_surcharges_are_told_and_computed_again(
    charged: Gateway,
) -> None:
    proposed = await charged.send(
        "POST", "/v1/agreements",
        {"recipient": "heat", "contract": "№ 1", "valid_from": "2026-01-01", "tariffs": [
            {"channel": "card", "above": {"ppm": 20_000}, "below": {"ppm": 5_000, "min": 7}}]},
        role="operator", key="agree",
    )  # fmt: skip
    assert proposed.status == 201, proposed.content
    path = f"/v1/agreements/{proposed.json['id']}/approve"
    assert (await charged.send("POST", path, {}, role="approver", key="yes")).status == 200
    for body in (payment(), payment(amount=..., total=33_333)):
        id_ = (await charged.pay(body)).json["id"]
        told = await explained(charged, id_, "auditor")
        assert told["surcharge"]["by"] == "agreements"
        (agreed,) = told["splits"][0]["agreements"]
        assert (agreed["id"], agreed["contract"]) == (proposed.json["id"], "№ 1")
        assert recomputed("-", said=json.dumps(told))[0] == 0
        own = await explained(charged, id_, "recipient:uk")
        assert own["splits"][0]["agreements"] == []
        assert own["surcharge"] is own["amount"] is own["total"] is None
        other = await explained(charged, id_, "recipient:heat")
        assert other["splits"][0]["recipients"][0]["rule"]["ppm"] == 5_000
        bank = await explained(charged, id_, "acquirer")
        assert bank["splits"][0]["shares"] == told["splits"][0]["shares"]
        assert bank["splits"][0]["agreements"] == bank["splits"][0]["recipients"] == []
        assert (bank["surcharge"]["rule"], bank["surcharge"]["own"]) == (None, [])
        assert recomputed("-", said=json.dumps(bank))[0] == 0


async def test_suspense_is_told_and_explained_once_it_is_placed(charged: Gateway) -> None:
    taken = (await charged.pay(payment(subscriber_account="nobody"))).json
    told = await explained(charged, taken["id"])
    assert (told["splits"], told["suspense"]) == ([], 100_000)
    path = f"/v1/payments/{taken['id']}"
    hidden = await charged.send("GET", f"{path}/explanation", role="recipient:heat")
    assert (hidden.status, hidden.code) == (404, "not_found")
    body = {"subscriber_account": "220012345"}
    placed = await charged.send("POST", f"{path}/resolve", body, role="operator", key="v")
    assert placed.status == 200, placed.content
    told = await explained(charged, taken["id"])
    assert [one["kind"] for one in told["splits"]] == ["resolution"]
    assert told["suspense"] == 0
    assert recomputed("-", said=json.dumps(told))[0] == 0


async def test_who_may_not_see_a_payment_gets_no_explanation(
    charged: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = (await charged.pay(payment(designation={"heating": 100_000}))).json["id"]
    for role, status in (
        ("acquirer", 200), ("acquirer2", 404), ("operator", 200), ("auditor", 200),
        ("approver", 403), ("recipient:heat", 200), ("recipient:waste", 404),
    ):  # fmt: skip
        answer = await charged.send("GET", f"/v1/payments/{id_}/explanation", role=role)
        assert answer.status == status, role
    for path in (f"pay_{'0' * 32}", "pay_1", "ref_" + "0" * 32):
        answer = await charged.send("GET", f"/v1/payments/{path}/explanation", role="auditor")
        assert (answer.status, answer.code) == (404, "not_found")
    answer = await charged.send("GET", f"/v1/payments/{id_}/explanation?x=1", role="auditor")
    assert (answer.status, answer.code) == (400, "malformed")
    await charged.pay(payment())
    monkeypatch.setattr(explain_payment, "EVENTS_MAX", 1)
    answer = await charged.send("GET", f"/v1/payments/{id_}/explanation", role="auditor")
    assert (answer.status, answer.code) == (409, "state_conflict")
