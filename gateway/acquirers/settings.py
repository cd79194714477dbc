"""Which acquirers a centre has: a TOML file with a table each, and secrets in files beside it.

Read once, when a process starts; a file that is wrong is told to whoever starts it. Without the
file the gateway asks nobody to take money, so that no sandbox is met by accident.
"""

import re
import tomllib
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from gateway.acquirers.kinds import KINDS
from gateway.config import StartRefused

ACQUIRERS_MAX: Final = 64
SECRET_BYTES_MAX: Final = 16_384

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)


class AcquirerSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One acquirer. `secrets` are paths, relative ones from the directory of the file.

    `timeout_ms` is for one request; an order is payable for `expires_s`. An order that the
    acquirer does not know after `absent_after_s` was never taken on. `asks_max` orders are asked
    for at once by one worker. Behind a proxy of the centre's own the address of who calls back
    stands in `peer_header`.
    """

    kind: str
    url: str
    secrets: dict[str, str] = {}
    options: dict[str, str] = {}
    authority: str | None = None
    timeout_ms: int = 10_000
    expires_s: int = 3_600
    absent_after_s: int = 120
    asks_max: int = 64
    peer_header: str | None = None

    @property
    def timeout_s(self) -> float:
        """One request's time."""
        return self.timeout_ms / 1000

    @property
    def asking_s(self) -> float:
        """The time of all requests that one question may take."""
        return 2 * self.timeout_s


_RANGES: Final = (
    ("timeout_ms", 50, 60_000),
    ("expires_s", 1, 7_776_000),
    ("absent_after_s", 1, 86_400),
    ("asks_max", 1, 4_096),
)


def load(path: Path) -> dict[str, AcquirerSettings]:
    """The acquirers of the file by name, their secrets not read yet; raises StartRefused."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        found = msgspec.convert(tables, dict[str, AcquirerSettings])
    except OSError as failure:
        raise StartRefused(
            f"Expected a file of acquirers at {path}, was: {failure.strerror}"
        ) from None
    except (ValueError, msgspec.ValidationError) as fault:
        raise StartRefused(f"Expected a file of acquirers in TOML: {fault}") from None
    if len(found) > ACQUIRERS_MAX:
        raise StartRefused(f"Expected at most {ACQUIRERS_MAX} acquirers, was {len(found)}")
    problems = [problem for name, one in found.items() for problem in _problems(name, one)]
    if problems:
        raise StartRefused("; ".join(problems))
    return found


def secret(directory: Path, name: str, path: str) -> str:
    """A secret out of its file, without the newline at its end; raises StartRefused."""
    try:
        content = (directory / path).read_bytes()
    except OSError as failure:
        raise StartRefused(
            f"Expected the secret {name} in the file {directory / path}, was: {failure.strerror}"
        ) from None
    try:
        text = content.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        text = ""
    if not text or len(content) > SECRET_BYTES_MAX:
        raise StartRefused(f"Expected the secret {name} as a short text, was another")
    return text


def _is_private(url: str) -> bool:
    """Whether nobody on the way can read what is said there: secrets and tokens are."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    )


def _problems(name: str, one: AcquirerSettings) -> list[str]:
    def expected(what: str) -> str:
        return f"Expected {what} of acquirer {name}"

    if _NAME.fullmatch(name) is None:
        return ["Expected names of acquirers of 1..32 of a-z 0-9 -"]
    kind = KINDS.get(one.kind)
    if kind is None:
        return [expected(f"kind one of {', '.join(sorted(KINDS))}")]
    problems = []
    if not _is_private(one.url):
        problems.append(expected("url that begins with https:, or http: on this machine"))
    for field, least, most in _RANGES:
        if not least <= getattr(one, field) <= most:
            problems.append(expected(f"{field} in {least}..{most}"))
    if one.absent_after_s < one.asking_s:
        # Else a charge on its way were called never sent, and another one allowed beside it.
        problems.append(expected("absent_after_s of twice timeout_ms at least"))
    if set(one.secrets) != kind.secrets:
        problems.append(expected(f"secrets {', '.join(sorted(kind.secrets)) or 'none'}"))
    if not kind.options <= set(one.options) <= kind.options | kind.optional:
        names = ", ".join(sorted(kind.options | kind.optional)) or "none"
        problems.append(expected(f"options {names}"))
    return problems
