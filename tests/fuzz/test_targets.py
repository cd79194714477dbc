"""Every target with hypothesis: seeds bent in every way, and bytes of no kind at all."""

import time
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, Target

CPU_S_MAX = 2.0
MEMORY_BYTES_MAX = 16_000_000


@st.composite
def bent(draw: st.DrawFn, target: Target) -> bytes:
    """A seed with pieces changed, cut, doubled or put elsewhere."""
    content = bytearray(draw(st.sampled_from(target.seeds)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(content)))
        end = min(len(content), at + draw(st.integers(0, 24)))
        piece = draw(st.binary(max_size=8) | st.just(bytes(content[at:end])))
        content[at:end] = piece * draw(st.sampled_from([0, 1, 1, 1, 2, 50]))
    return bytes(content[: target.length_max])


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_bytes_are_answered_or_refused(target: Target, data: st.DataObject) -> None:
    target(data.draw(bent(target) | st.binary(max_size=300)))


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_seeds_reach_the_end(target: Target) -> None:
    for seed in target.seeds:
        target(seed)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("piece", [b"4 ", b"A=|", b"\xff\xda", b"[[", b"&a=1", b"0", b"\xd0\x90"])
def test_the_longest_bytes_take_bounded_time_and_memory(target: Target, piece: bytes) -> None:
    seed = target.seeds[0]
    content = (seed + piece * target.length_max)[: target.length_max]
    tracemalloc.start()
    started = time.process_time()
    try:
        target(content)
        used = time.process_time() - started
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < CPU_S_MAX
    assert peak < MEMORY_BYTES_MAX


def test_a_target_that_raises_is_found() -> None:
    def broken(content: bytes) -> None:
        raise KeyError(content)

    with pytest.raises(KeyError):
        Target("broken", broken, [b""])(b"")
