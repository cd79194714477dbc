"""How much memory this machine or its container has, and how much of it PostgreSQL is given."""

import os
from collections.abc import Iterable
from pathlib import Path

# Where the kernel tells a container's limit: control groups of version 2, and of version 1.
_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_MIB = 1024 * 1024
_PART = 8
_LEAST_MIB = 128
_MOST_MIB = 4096


def memory_bytes(limits: Iterable[Path] = _LIMITS) -> int:
    """What the machine has, or what its container may use where that is less."""
    least = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in limits:
        try:
            told = limit.read_text().strip()
        except OSError:
            continue
        if told.isdecimal():
            least = min(least, int(told))
    return least


def shared_buffers(memory: int) -> str:
    """PostgreSQL's setting of that name for so many bytes of memory: an eighth, within bounds.

    The pages that every payment touches by chance are the leaves of the indexes by key and by
    account and the open bills: two gigabytes where twenty million payments are stored.
    """
    return f"{min(_MOST_MIB, max(_LEAST_MIB, memory // _PART // _MIB))}MB"
