"""Packed vectors: one width byte, then big-endian integers; the database reads the same bytes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitcore import PARTS_MAX, PackedSums, SplitError, pack, packed_sum, reference_plans, unpack
from tests.splitcore.drawn import QUIET, kopecks


@pytest.mark.parametrize(
    ("values", "packed"),
    [
        ([], b"\x04"),
        ([0], b"\x04\0\0\0\0"),
        ([1, 258], b"\x04\0\0\0\x01\0\0\x01\x02"),
        ([2**31 - 1], b"\x04\x7f\xff\xff\xff"),
        ([2**31], b"\x08\0\0\0\0\x80\0\0\0"),
        ([1, 2**63 - 1], b"\x08\0\0\0\0\0\0\0\x01\x7f" + b"\xff" * 7),
    ],
)
def test_layout(values: list[int], packed: bytes) -> None:
    assert pack(values) == packed
    assert pack(iter(values)) == packed
    assert unpack(packed) == values
    if sum(values) < 2**63:
        assert packed_sum(packed) == sum(values)


def test_a_long_vector_comes_back() -> None:
    values = [i * 7_919_000_001 for i in range(5_000)]
    assert unpack(pack(values)) == values
    assert packed_sum(pack(values)) == sum(values)


@pytest.mark.parametrize(
    "packed",
    [
        *(b"", b"\x05", b"\x04\0", b"\x04\0\0\0", b"\x08\0\0\0\0", b"\0\0\0\0\0"),
        b"\x04\xff\xff\xff\xff",  # negative
        b"\x08\x80" + b"\0" * 7,
        *("\x04", None, bytearray(b"\x04"), [4]),
    ],
)
def test_malformed_bytes_are_refused(packed: bytes) -> None:
    for read in (unpack, packed_sum):
        with pytest.raises(ValueError, match="malformed"):
            read(packed)


@pytest.mark.parametrize("values", [[-1], [2**63], [2**80], [1.0], [True], ["1"], [None]])
def test_values_that_cannot_be_packed(values: list[int]) -> None:
    with pytest.raises(SplitError, match="malformed"):
        pack(values)


def test_a_sum_beyond_63_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="malformed"):
        packed_sum(pack([2**62, 2**62]))


@QUIET
@given(st.integers(1, 20).flatmap(
    lambda places: st.lists(
        st.lists(st.one_of(kopecks(), st.sampled_from([2**61 - 1, 2**62, 2**63 - 1])),
                 min_size=places, max_size=places),
        min_size=1, max_size=12)))  # fmt: skip
def test_vectors_add_up_place_by_place(vectors: list[list[int]]) -> None:
    sums = PackedSums(len(vectors[0]))
    for vector in vectors:
        sums.add(pack(vector))
    assert sums.totals() == [sum(place) for place in zip(*vectors, strict=True)]


def test_sums_pass_63_bits() -> None:
    sums = PackedSums(2)
    for _ in range(1000):
        sums.add(pack([2**63 - 1, 1]))
    assert sums.totals() == [1000 * (2**63 - 1), 1000]


@pytest.mark.parametrize(
    "packed", [b"", pack([1]), pack([1, 2, 3]), b"\x04\xff\xff\xff\xff\0\0\0\0"]
)
def test_a_vector_that_does_not_fit_adds_nothing(packed: bytes) -> None:
    sums = PackedSums(2)
    sums.add(pack([5, 7]))
    with pytest.raises(SplitError, match="malformed"):
        sums.add(packed)
    assert sums.totals() == [5, 7]


@pytest.mark.parametrize("places", [0, -1, PARTS_MAX + 1, 1.0, True, "2"])
def test_places_of_another_kind(places: int) -> None:
    with pytest.raises(SplitError, match="malformed"):
        PackedSums(places)


@pytest.mark.parametrize("made", [PackedSums, reference_plans.PackedSums], ids=["door", "law"])
def test_vectors_strung_together_are_added_like_one_by_one(made: type[Any]) -> None:
    vectors = [pack(values) for values in ([1, 2], [2**40, 0], [0, 0], [3, 2**63 - 1])]
    sums = made(2)
    assert (sums.add_all(b""), sums.totals()) == (0, [0, 0])
    assert sums.add_all(b"".join(vectors)) == 4
    assert sums.totals() == [2**40 + 4, 2**63 + 1]
    for end in range(1, len(vectors[0])):
        with pytest.raises(SplitError, match="malformed"):
            sums.add_all(vectors[0] + vectors[1] + vectors[0][:end])
    wrongs: list[Any] = [
        *(b"\0", b"\x05" + bytes(10), pack([1]), bytearray(vectors[0]), "\4"),
        b"\x04\xff\xff\xff\xff\0\0\0\0",
    ]
    before = sums.totals()
    for wrong in wrongs:
        with pytest.raises(SplitError, match="malformed"):
            sums.add_all(wrong)
    assert sums.totals() == before
