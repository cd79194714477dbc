"""The machine that figures were taken on, and how much of it others used meanwhile."""

import importlib.metadata
import os
import platform
import statistics
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway import __version__
from gateway.storage import embedded
from splitcore import BACKEND

LIBRARIES = ("aiohttp", "asyncpg", "msgspec", "orjson", "uvloop", "cython")
_SYNCS = 200
_SYNC_BYTES = bytes(8192)
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def described(folder: Path) -> dict[str, Any]:
    """Processor, memory, system, versions, and the disk below `folder`."""
    return {
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "file_system": _file_system(folder),
        "fdatasync_us": round(sync_s(folder) * 1e6),
        "load_average": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "postgresql": _first_line([str(embedded.binary("postgres")), "--version"]),
        "gcc": _first_line(["gcc", "--version"]),
        "kopeck": __version__,
        "kernel": BACKEND,
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _file_system(folder: Path) -> str:
    """The kind of the file system; on tmpfs nothing is durable, so no figure would mean much."""
    wanted = folder.resolve()
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    fitting = [(len(at), kind) for at, kind in mounts if wanted.is_relative_to(at)]
    return max(fitting)[1] if fitting else "unknown"


def sync_s(folder: Path) -> float:
    """The median time of one 8 kB write made durable."""
    path = folder / f"kopeck-sync-{os.getpid()}"
    file = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        times = []
        for _ in range(_SYNCS):
            started = time.perf_counter()
            os.pwrite(file, _SYNC_BYTES, 0)
            os.fdatasync(file)
            times.append(time.perf_counter() - started)
        return statistics.median(times)
    finally:
        os.close(file)
        path.unlink()


def _first_line(words: list[str]) -> str:
    try:
        return subprocess.run(words, capture_output=True, text=True).stdout.splitlines()[0]
    except (OSError, IndexError):
        return "unknown"


def pss_mb_of_children(process_id: int, word: str) -> list[float]:
    """Megabytes of each child whose command line has the word: its own, and a part of shared."""
    found = []
    for child, (parent, _) in _processes().items():
        if parent != process_id:
            continue
        at = Path("/proc") / str(child)
        if word.encode() in (at / "cmdline").read_bytes().split(b"\0"):
            rollup = (at / "smaps_rollup").read_text().splitlines()
            pss = next(line for line in rollup if line.startswith("Pss:"))
            found.append(int(pss.split()[1]) * 1024 / 1e6)
    return found


def cpu_s_by_child(process_id: int, word: str) -> tuple[float, float]:
    """Processor time of the children whose command line has the word, and of all the others; each
    with all below it.
    """
    processes = _processes()
    spent = [0, 0]
    for child, (parent, _) in processes.items():
        if parent == process_id:
            words = (Path("/proc") / str(child) / "cmdline").read_bytes().split(b"\0")
            spent[word.encode() not in words] += _ticks_below(processes, child)
    return spent[0] * _TICK_S, spent[1] * _TICK_S


class Disturbance:
    """Cores that processes other than ours used since it was made."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._busy = _busy_s()
        self._ours = _ours_s()

    def cores(self) -> float:
        """Their mean; a process of ours that ended hides what it used, so never below 0."""
        elapsed = time.monotonic() - self._started
        theirs = (_busy_s() - self._busy) - (_ours_s() - self._ours)
        return max(0.0, theirs / elapsed) if elapsed > 0 else 0.0


def _busy_s() -> float:
    user, nice, system, _, _, irq, softirq = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8]
    )
    return (user + nice + system + irq + softirq) * _TICK_S


def _ours_s() -> float:
    return _ticks_below(_processes(), os.getpid()) * _TICK_S


def _ticks_below(processes: dict[int, tuple[int, int]], top: int) -> int:
    """Processor time of a process and all below it, the ended ones counted by their parents."""
    family = {top}
    added = True
    while added:
        below = {pid for pid, (parent, _) in processes.items() if parent in family} - family
        added = bool(below)
        family |= below
    return sum(processes[pid][1] for pid in family if pid in processes)


def _processes() -> dict[int, tuple[int, int]]:
    """Every process: its parent, and its processor time in ticks."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found[int(entry.name)] = int(fields[1]), sum(map(int, fields[11:15]))
    return found
