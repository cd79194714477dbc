"""PostgreSQL's share of the memory is the container's, where that has less than its machine."""

from pathlib import Path

import pytest

from gateway.storage.memory import memory_bytes, shared_buffers

GIB = 1024**3


@pytest.mark.parametrize(
    ("memory", "setting"),
    [(GIB // 4, "128MB"), (GIB, "128MB"), (4 * GIB, "512MB"), (24 * GIB, "3072MB"),
     (256 * GIB, "4096MB")],
)  # fmt: skip
def test_an_eighth_of_the_memory_within_bounds(memory: int, setting: str) -> None:
    assert shared_buffers(memory) == setting


def test_a_container_has_what_it_may_use(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    machine = memory_bytes([limit])
    limit.write_text("max\n")
    assert memory_bytes([limit]) == machine
    limit.write_text(f"{machine // 2}\n")
    assert memory_bytes([limit]) == machine // 2
    limit.write_text(f"{machine * 2}\n")
    assert memory_bytes([limit]) == machine
