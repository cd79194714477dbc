"""A file for whoever helps from afar: findings, settings, versions, metrics, PostgreSQL's log.

No secret and nothing of a payer gets in: settings that are secret are named and not told, URLs lose
what may be a password, and PostgreSQL's log is kept free of values by its own settings.
"""

import io
import os
import re
import tarfile
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Final

import msgspec

from gateway.config import PREFIX, Settings, StartRefused
from gateway.doctor import machine
from gateway.doctor.finding import Finding

_LOG_BYTES_MAX: Final = 262_144
_PASSWORD: Final = re.compile(r"(?<=://)[^/@\s]*@")
_SECRET: Final = re.compile(r"kp_[A-Za-z0-9_-]{20,}")


def write_bundle(path: Path, settings: Settings | None, findings: Sequence[Finding]) -> None:
    """Writes a new .tar.gz that only its owner may read; StartRefused where that cannot be."""
    texts = {"findings.json": _json([msgspec.to_builtins(one) for one in findings])}
    texts["versions.json"] = _json(machine.versions())
    if settings is not None:
        texts["settings.json"] = _json(shown(settings))
        status, metrics = machine.ask(settings, "/metrics")
        if status == 200:
            texts["metrics.txt"] = metrics
        texts |= _log(settings.data / "postgres.log") if settings.database_url is None else {}
    try:
        # Never over a file that is there, and not through somebody's link.
        with (
            open(path, "xb", opener=_private) as file,
            tarfile.open(fileobj=file, mode="w:gz") as t,
        ):
            for name, content in texts.items():
                entry = tarfile.TarInfo(f"kopeck-support/{name}")
                content = cleaned(content)
                entry.size, entry.mode = len(content), 0o600
                t.addfile(entry, io.BytesIO(content))
    except OSError as failure:
        raise StartRefused(
            f"Expected a new file to write, was {path}: {failure.strerror}"
        ) from None


def shown(settings: Settings) -> dict[str, str]:
    """Every setting by its variable; of a secret one only that it is set."""
    return {
        PREFIX + one.name.upper(): "set" if one.metadata["secret"] else str(value)
        for one in fields(Settings)
        if (value := getattr(settings, one.name)) is not None
    }


def cleaned(content: bytes) -> bytes:
    """Without passwords in URLs and keys of callers, wherever somebody put them."""
    text = content.decode(errors="replace")
    return _SECRET.sub("kp_…", _PASSWORD.sub("…@", text)).encode()


def _log(path: Path) -> dict[str, bytes]:
    try:
        with open(path, "rb") as log:
            log.seek(max(0, path.stat().st_size - _LOG_BYTES_MAX))
            return {"postgres.log": log.read(_LOG_BYTES_MAX)}
    except OSError:
        return {}


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _json(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2)
