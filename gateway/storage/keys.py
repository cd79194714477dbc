"""API keys: who may call, as what. Only the SHA-256 of a secret is kept.

A secret is 32 random bytes, so a plain digest is as good as a slow one: there is nothing to guess.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from gateway.domain.party import Caller
from gateway.domain.refusals import Refusal

ROLES = ("acquirer", "operator", "approver", "auditor")
NAME_MAX = 64
# Names of keys have no space.
MACHINE = "the cut-off"

_SECRET_PREFIX = "kp_"  # noqa: S105  (lets secret scanners find a leaked key)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_RECIPIENT = re.compile(r"recipient:([A-Za-z0-9._-]{1,64})", re.ASCII)


@dataclass(frozen=True)
class Role:
    """What a caller may do; `recipient` is the id when the name is `recipient`, else None."""

    name: str
    recipient: str | None = None

    def __str__(self) -> str:
        return self.name if self.recipient is None else f"{self.name}:{self.recipient}"


@dataclass(frozen=True)
class Key:
    """One key as listed: never the secret, of which nobody has a copy."""

    name: str
    role: Role
    digest: str
    added_at: datetime
    revoked_at: datetime | None


def parse_role(text: str) -> Role:
    """`acquirer`, `operator`, `approver`, `auditor` or `recipient:ID`; Refusal `malformed`."""
    if text in ROLES:
        return Role(text)
    match = _RECIPIENT.fullmatch(text)
    if match is None:
        raise Refusal(
            "malformed", f"Expected a role of {', '.join(ROLES)} or recipient:ID, was {text!r}"
        )
    return Role("recipient", match[1])


def digest_of(secret: str) -> bytes:
    """What is stored of a secret, and what a caller is looked up by."""
    return hashlib.sha256(secret.encode()).digest()


def check_name(name: str) -> None:
    """Refusal `malformed` for what cannot be a caller's name."""
    if not _NAME.fullmatch(name):
        raise Refusal(
            "malformed",
            f"Expected a name of 1..{NAME_MAX} letters, digits, dots, dashes or underscores",
        )


async def add(conn: asyncpg.Connection, name: str, role: Role) -> str:
    """Makes one more key for `name` in `role` and returns its secret, which is not kept.

    A name may have several roles, and several keys of one role while they are rotated.
    Refusal `malformed` for a bad name.
    """
    check_name(name)
    secret = _SECRET_PREFIX + secrets.token_urlsafe(32)
    async with conn.transaction():
        await conn.execute(
            "INSERT INTO callers (name, role, recipient) VALUES ($1, $2, $3)"
            " ON CONFLICT DO NOTHING",
            name,
            role.name,
            role.recipient,
        )
        await conn.execute(
            "INSERT INTO api_keys (secret_sha256, caller) SELECT $1, number FROM callers"
            " WHERE name = $2 AND role = $3 AND recipient IS NOT DISTINCT FROM $4",
            digest_of(secret),
            name,
            role.name,
            role.recipient,
        )
    return secret


async def listed(conn: asyncpg.Connection) -> list[Key]:
    """All keys, also the revoked, by name and age."""
    rows = await conn.fetch(
        "SELECT name, role, recipient, secret_sha256, added_at, revoked_at"
        " FROM api_keys JOIN callers ON callers.number = api_keys.caller ORDER BY name, added_at"
    )
    return [
        Key(
            row["name"],
            Role(row["role"], row["recipient"]),
            row["secret_sha256"].hex()[:12],
            row["added_at"],
            row["revoked_at"],
        )
        for row in rows
    ]


async def revoke(conn: asyncpg.Connection, digest: str) -> int:
    """Revokes the key whose digest begins with `digest` (as listed) and returns how many: 0 or 1.

    Refusal `malformed` when it is not 8..64 hexadecimal digits, or several keys begin so.
    """
    if not re.fullmatch(r"[0-9a-f]{8,64}", digest, re.ASCII):
        raise Refusal("malformed", "Expected 8..64 digits of a key as `keys list` shows them")
    async with conn.transaction():
        rows = await conn.fetch(
            "UPDATE api_keys SET revoked_at = now()"
            " WHERE starts_with(encode(secret_sha256, 'hex'), $1) AND revoked_at IS NULL"
            " RETURNING 1",
            digest,
        )
        if len(rows) > 1:
            raise Refusal("malformed", f"Expected one key that begins with {digest}, was several")
    return len(rows)


async def find_named(conn: asyncpg.Connection, name: str, role: str) -> Caller | None:
    """The caller of a name in a role that has a key in force; None where there is none."""
    row = await conn.fetchrow(
        "SELECT number, name, role, recipient FROM callers"
        " WHERE name = $1 AND role = $2 AND recipient IS NULL AND EXISTS ("
        " SELECT FROM api_keys WHERE caller = callers.number AND revoked_at IS NULL)",
        name,
        role,
    )
    return None if row is None else Caller(**row)


async def machine(conn: asyncpg.Connection) -> Caller:
    """Who the machine is where it acts by itself; no key can ever have its name."""
    await conn.execute(
        "INSERT INTO callers (name, role) VALUES ($1, 'operator') ON CONFLICT DO NOTHING", MACHINE
    )
    row = await conn.fetchrow(
        "SELECT number, name, role, recipient FROM callers WHERE name = $1 AND role = 'operator'",
        MACHINE,
    )
    return Caller(**row)


async def find_caller(conn: asyncpg.Connection, secret_sha256: bytes) -> Caller | None:
    """The caller behind the digest of a secret, None where no key in force has it."""
    row = await conn.fetchrow(
        "SELECT number, name, role, recipient FROM api_keys"
        " JOIN callers ON callers.number = api_keys.caller"
        " WHERE secret_sha256 = $1 AND revoked_at IS NULL",
        secret_sha256,
    )
    return None if row is None else Caller(**row)
