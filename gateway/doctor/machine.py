"""What can be looked at without a database: the programs, the clock, the disk, certificates."""

import ctypes
import http.client
import os
import platform
import resource
from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Final

from cryptography import x509

import gateway
from gateway import app
from gateway.config import Settings, StartRefused
from gateway.doctor.finding import Finding, ill, look, well
from gateway.settlement import witness
from gateway.watch.standing import disk_of
from splitcore import BACKEND

_PACKAGES: Final = ("aiohttp", "asyncpg", "cryptography", "msgspec", "orjson", "uvloop")
_EXPIRES_SOON: Final = timedelta(days=30)
_FREE_ILL, _FREE_LOOK = 0.10, 0.20
# adjtimex(2): nobody keeps the kernel's clock right.
_TIME_ERROR: Final = 5
_TIMEX_BYTES: Final = 512
_PROBE_S: Final = 2.0
# Descriptors that a worker needs besides those of its connections.
_DESCRIPTORS_BESIDE: Final = 256


def examine(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Everything on this machine."""
    yield _programs()
    yield _clock()
    yield _descriptors(settings)
    if settings.database_url is None:
        yield _disk(settings.data)
    yield _witness(settings)
    yield from _certificates(settings, now)
    yield from _keys_on_disk(settings)
    yield _answering(settings)


def versions() -> dict[str, str]:
    """Ours, Python's, the kernel's backend, and those of the packages that matter."""
    return {
        "kopeck": gateway.__version__,
        "python": platform.python_version(),
        "splitting": BACKEND,
        "system": platform.platform(),
        **{name: metadata.version(name) for name in _PACKAGES},
    }


def _witness(settings: Settings) -> Finding:
    """Whether anybody would notice a database that was put back."""
    directory = witness.directory_of(settings)
    if directory is None:
        advice = "Set KOPECK_WITNESS to a directory that outlives the gateway: docs/restores.md"
        return look("witness", "only the bank would notice a database that was put back", advice)
    if settings.witness is not None and not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        advice = "Make it a directory that the gateway may write to: nothing is paid without it"
        return ill("witness", f"{directory} is not to be written to", advice)
    return well("witness", f"settlement is remembered in {directory}")


def _programs() -> Finding:
    told = ", ".join(f"{name} {version}" for name, version in versions().items())
    try:
        app.refuse_unsafe_interpreter()
    except StartRefused as refused:
        return ill("programs", str(refused), "Start Python without what the line names")
    if BACKEND != "kernel":
        advice = "Unset SPLITCORE_PURE, or install the wheel made for this machine"
        return look("programs", f"the reference splits, not the kernel; {told}", advice)
    return well("programs", told)


def _clock() -> Finding:
    libc = ctypes.CDLL(None, use_errno=True)
    state = libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    if state == _TIME_ERROR:
        return look(
            "clock",
            "the kernel says that nobody keeps this clock right",
            "Run chrony or systemd-timesyncd here, or on the host of this container",
        )
    return well("clock", "kept right" if state >= 0 else "the kernel does not tell")


def _descriptors(settings: Settings) -> Finding:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.connections_max + _DESCRIPTORS_BESIDE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        return look(
            "descriptors",
            f"{soft} of {wanted} that connections_max asks for",
            f"Start it with LimitNOFILE={wanted} or more, or lower KOPECK_CONNECTIONS_MAX",
        )
    return well("descriptors", str(soft))


def _disk(data: Path) -> Finding:
    try:
        disk = disk_of(data)
    except OSError as failure:
        return ill("disk", f"{data}: {failure.strerror}", "Give the data directory that was meant")
    told = f"{disk.free / 2**30:.1f} of {disk.size / 2**30:.1f} GiB free"
    share = disk.free / disk.size if disk.size else 0.0
    advice = "Make room or give it a larger disk: docs/runbooks/DiskFilling.md"
    if share < _FREE_ILL:
        return ill("disk", told, advice)
    return look("disk", told, advice) if share < _FREE_LOOK else well("disk", told)


def _certificates(settings: Settings, now: datetime) -> Iterator[Finding]:
    for name in ("apple_pay_certificate", "apple_pay_root"):
        path: Path | None = getattr(settings, name)
        if path is not None:
            yield _certificate(name, path, now)


def _certificate(name: str, path: Path, now: datetime) -> Finding:
    try:
        loaded = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as failure:
        kind = getattr(failure, "strerror", None) or "no certificate in PEM"
        return ill(name, f"{path}: {kind}", f"Put the certificate where KOPECK_{name.upper()} says")
    ends = min(one.not_valid_after_utc for one in loaded)
    told = f"valid until {ends:%Y-%m-%d}"
    advice = "Get a new one from its issuer, put it in its place, restart the gateway"
    if ends <= now:
        return ill(name, f"expired on {ends:%Y-%m-%d}", advice)
    return look(name, told, advice) if ends - now < _EXPIRES_SOON else well(name, told)


def _keys_on_disk(settings: Settings) -> Iterator[Finding]:
    for name in ("apple_pay_key", "google_pay_keys"):
        path: Path | None = getattr(settings, name)
        if path is None:
            continue
        try:
            mode = path.stat().st_mode & 0o777
        except OSError as failure:
            advice = f"Put the key where KOPECK_{name.upper()} says"
            yield ill(name, f"{path}: {failure.strerror}", advice)
            continue
        if mode & 0o077:
            yield look(name, f"mode {mode:04o}", f"chmod 0600 {path}: others may read the key")
        else:
            yield well(name, f"mode {mode:04o}")


def _answering(settings: Settings) -> Finding:
    status = ask(settings, "/readyz")[0]
    if status == 200:
        return well("gateway", f"ready at {settings.host}:{settings.port}")
    if status is None:
        advice = "Start it, or give KOPECK_HOST and KOPECK_PORT of the one that was meant"
        return look("gateway", f"nobody answers at {settings.host}:{settings.port}", advice)
    return ill("gateway", f"/readyz answers {status}", "Read the findings of the database")


def ask(settings: Settings, path: str) -> tuple[int | None, bytes]:
    """Status and body of a GET to the gateway of these settings; None where nobody answers."""
    connection = http.client.HTTPConnection(settings.host, settings.port, timeout=_PROBE_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return None, b""
    finally:
        connection.close()
