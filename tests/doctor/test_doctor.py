"""The doctor finds each ill thing, says what to do, changes nothing, and tells no secret."""

import asyncio
import dataclasses
import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.config import Settings, StartRefused
from gateway.doctor import Finding, examine, machine, worst, write_bundle
from gateway.domain.clock import SystemClock
from gateway.flows import after_restore
from gateway.storage import keys, postgres
from tests.flows.region import region_in
from tests.watch.test_watch import Ahead

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture(autouse=True)
def nobody_sets_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests run on a server that is not durable; KOPECK_ variables are those of the test alone."""
    monkeypatch.setenv(postgres.ALLOW_NOT_DURABLE, "1")


def by_what(findings: list[Finding]) -> dict[str, Finding]:
    return {one.what: one for one in findings}


def certificate(path: Path, ends: datetime) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(ends - timedelta(days=400))
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path


def examined(url: str, clock: Ahead | None = None) -> dict[str, Finding]:
    settings, findings = examine({"database_url": url}, clock)
    assert settings is not None
    assert all(one.advice for one in findings if one.state != "well")
    return by_what(findings)


def test_wrong_settings_are_the_first_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOPECK_PROT", "1")
    settings, findings = examine({})
    assert settings is None
    assert [(one.what, one.state) for one in findings] == [("settings", "ill")]
    assert "KOPECK_PROT" in findings[0].found


def test_a_database_that_is_away_is_ill(tmp_path: Path) -> None:
    _, findings = examine({"database_url": f"postgresql://kopeck:secret@/x?host={tmp_path}"})
    found = by_what(findings)["database"]
    assert found.state == "ill"
    assert "secret" not in str(findings)
    assert worst(findings) == "ill"


async def test_a_region_in_order_is_well(database_url: str) -> None:
    async with region_in(database_url):
        pass
    found = await asyncio.to_thread(examined, database_url)
    told = ("durability", "schema", "clocks", "connections", "replicas", "failover", "suspense",
            "keys")  # fmt: skip
    assert {what: found[what].state for what in told} == dict.fromkeys(told, "well")


async def test_old_schema_skew_and_keys_are_found(
    empty_database_url: str, database_url: str
) -> None:
    empty = await asyncio.to_thread(examined, empty_database_url)
    assert empty["schema"].state == "ill"
    assert "kopeck migrate" in empty["schema"].advice
    conn = await asyncpg.connect(database_url)
    try:
        await keys.add(conn, "ann", keys.parse_role("operator"))
        await keys.add(conn, "ann", keys.parse_role("approver"))
        clock = Ahead()
        clock.by = timedelta(seconds=-5)
        found = await asyncio.to_thread(examined, database_url, clock)
        assert found["clocks"].state == "ill"
        assert found["keys"].state == "look"
        assert "ann" in found["keys"].found
    finally:
        await conn.close()


def test_what_a_server_may_lose_is_ill(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(postgres.ALLOW_NOT_DURABLE)
    found = examined(database_url)
    assert found["durability"].state == "ill"
    assert "fsync" in found["durability"].found


@pytest.mark.parametrize(("days", "state"), [(-1, "ill"), (10, "look"), (100, "well")])
def test_certificates_are_told_of_before_they_end(tmp_path: Path, days: int, state: str) -> None:
    path = certificate(tmp_path / "c.pem", NOW + timedelta(days=days))
    settings = dataclasses.replace(Settings(), data=tmp_path, apple_pay_certificate=path)
    found = by_what(list(machine.examine(settings, NOW)))
    assert found["apple_pay_certificate"].state == state


def test_a_missing_certificate_and_an_open_key_are_found(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("a key")
    key.chmod(0o644)
    settings = dataclasses.replace(
        Settings(), data=tmp_path, apple_pay_root=tmp_path / "no.pem", apple_pay_key=key
    )
    found = by_what(list(machine.examine(settings, NOW)))
    assert found["apple_pay_root"].state == "ill"
    assert found["apple_pay_key"].advice == f"chmod 0600 {key}: others may read the key"


def test_a_bundle_tells_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "kp_" + "canary" * 6
    url = "postgresql://kopeck:canary-password@/kopeck?host=nowhere"
    settings = Settings(database_url=None, redis_url=url, data=tmp_path, port=1)
    (tmp_path / "postgres.log").write_text(f"{url} {secret}\n")
    findings = [Finding("x", "ill", f"was {url}", f"revoke {secret}")]
    bundle = tmp_path / "bundle.tar.gz"
    write_bundle(bundle, settings, findings)
    assert bundle.stat().st_mode & 0o777 == 0o600
    with tarfile.open(bundle) as opened:
        names = opened.getnames()
        texts = [opened.extractfile(name) for name in names]
        content = b"".join(text.read() for text in texts if text is not None)
    assert [name.rpartition("/")[2] for name in names] == [
        "findings.json",
        "versions.json",
        "settings.json",
        "postgres.log",
    ]
    assert b"canary" not in content
    assert b"KOPECK_REDIS_URL" in content
    with pytest.raises(StartRefused):
        write_bundle(bundle, settings, findings)


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ({"database_url": "postgresql://x"}, "look"),
        ({"database_url": "postgresql://x", "witness": "there"}, "well"),
        ({"database_url": "postgresql://x", "witness": "missing"}, "ill"),
        ({}, "well"),
    ],
)
def test_whether_anybody_remembers_settlement(
    tmp_path: Path, given: dict[str, str], state: str
) -> None:
    (tmp_path / "there").mkdir()
    values: dict[str, Any] = {**given}
    if "witness" in values:
        values["witness"] = tmp_path / values["witness"]
    found = by_what(list(machine.examine(Settings(data=tmp_path, **values), NOW)))
    assert found["witness"].state == state


async def test_a_restore_that_holds_settlement_is_ill(database_url: str) -> None:
    conn = await asyncpg.connect(database_url)
    try:
        now = SystemClock().now()
        async with conn.transaction():
            await after_restore.begin(conn, "said", "PITR", now - timedelta(hours=1), None)
    finally:
        await conn.close()
    _, findings = await asyncio.to_thread(examine, {"database_url": database_url})
    found = by_what(findings)["restores"]
    assert (found.state, found.advice) == ("ill", "See docs/runbooks/SettlementHeld.md")
