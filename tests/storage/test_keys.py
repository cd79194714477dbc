"""API keys: what is stored of them, who may have which, and how they are taken back."""

import hashlib
from collections.abc import AsyncIterator

import asyncpg
import pytest

from gateway.domain.refusals import Refusal
from gateway.storage.keys import Role, add, listed, parse_role, revoke


@pytest.fixture
async def conn(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(database_url)
    yield opened
    await opened.close()


async def test_only_the_digest_of_a_secret_is_kept(conn: asyncpg.Connection) -> None:
    secret = await add(conn, "sber", Role("acquirer"))
    assert secret.startswith("kp_")
    assert len(secret) == 3 + 43
    stored = await conn.fetch("SELECT secret_sha256 FROM api_keys")
    assert [row[0] for row in stored] == [hashlib.sha256(secret.encode()).digest()]
    assert secret not in repr(await listed(conn))


async def test_a_name_may_have_several_keys_and_several_roles(conn: asyncpg.Connection) -> None:
    secrets = {
        await add(conn, "sber", Role("acquirer")),
        await add(conn, "sber", Role("acquirer")),
        await add(conn, "sber", Role("auditor")),
        await add(conn, "sber", Role("recipient", "heat")),
        await add(conn, "sber", Role("recipient", "water")),
    }
    assert len(secrets) == 5
    assert await conn.fetchval("SELECT count(*) FROM callers") == 4
    assert sorted(str(key.role) for key in await listed(conn)) == [
        "acquirer",
        "acquirer",
        "auditor",
        "recipient:heat",
        "recipient:water",
    ]


async def test_revoking_one_key_leaves_the_others(conn: asyncpg.Connection) -> None:
    for _ in range(2):
        await add(conn, "sber", Role("acquirer"))
    first, second = await listed(conn)
    assert await revoke(conn, first.digest) == 1
    assert await revoke(conn, first.digest) == 0
    assert [key.digest for key in await listed(conn) if key.revoked_at is None] == [second.digest]


@pytest.mark.parametrize(
    ("text", "role"),
    [
        ("acquirer", Role("acquirer")),
        ("operator", Role("operator")),
        ("approver", Role("approver")),
        ("auditor", Role("auditor")),
        ("recipient:heat", Role("recipient", "heat")),
        ("recipient:uk-7.barnaul_1", Role("recipient", "uk-7.barnaul_1")),
    ],
)
def test_roles(text: str, role: Role) -> None:
    assert parse_role(text) == role
    assert str(role) == text


@pytest.mark.parametrize(
    "text", ["", "root", "Acquirer", "recipient", "recipient:", "recipient:a b", "operator\n"]
)
def test_what_is_not_a_role(text: str) -> None:
    with pytest.raises(Refusal, match="Expected a role"):
        parse_role(text)


@pytest.mark.parametrize("name", ["", "-x", "a b", "сбер", "x" * 65, "a\n"])
async def test_what_is_not_a_name(conn: asyncpg.Connection, name: str) -> None:
    with pytest.raises(Refusal, match="Expected a name"):
        await add(conn, name, Role("acquirer"))


@pytest.mark.parametrize("digest", ["", "abc", "%", "ABCDEF12", "g" * 8])
async def test_what_is_not_a_digest(conn: asyncpg.Connection, digest: str) -> None:
    await add(conn, "sber", Role("acquirer"))
    with pytest.raises(Refusal, match=r"Expected 8.*64 digits"):
        await revoke(conn, digest)
