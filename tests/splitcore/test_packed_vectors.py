"""Packed vectors: one width byte, then big-endian integers; the database reads the same bytes."""

import pytest

from splitcore import SplitError, pack, packed_sum, unpack


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
