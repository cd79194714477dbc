"""Merkle trees over hashes of rows (RFC 6962), and the chain of their roots; pure.

A leaf begins with the byte 0, a node with 1, a link of the chain with 2, one of the history's with
3, so that none can pass for
another. Whole pages of leaves are whole subtrees: the tree over the roots of pages is the tree over
their leaves.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

PAGE_LEAVES: Final = 1024
FIRST_LINK: Final = bytes(32)
NOTHING: Final = bytes(32)
"""The root of a history seal without rows."""


def root(hashes: Sequence[bytes]) -> bytes:
    """The root over hashes of 32 bytes, leaves or roots of whole pages; at least one."""
    level = list(hashes)
    while len(level) > 1:
        level = _level_above(level)
    return level[0]


def path(hashes: Sequence[bytes], place: int) -> list[bytes]:
    """What the hash at a place is joined with on its way to the root, nearest first."""
    level, found = list(hashes), []
    while len(level) > 1:
        beside = place ^ 1
        if beside < len(level):
            found.append(level[beside])
        level, place = _level_above(level), place // 2
    return found


def _level_above(level: list[bytes]) -> list[bytes]:
    pairs = zip(level[::2], level[1::2], strict=False)
    above = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
    if len(level) % 2:
        above.append(level[-1])
    return above


def link(before: bytes, batch: int, stage: str, leaves: int, over: bytes) -> bytes:
    """The chain's value after a seal: of the one before it, and of all that the seal says."""
    said = f"{batch} {stage} {leaves}".encode()
    return sha256(b"\x02" + before + over + said).digest()


def history_link(
    before: bytes, beside: bytes, batch: int | None, leaves: int, over: bytes
) -> bytes:
    """The history's chain after a seal: of the one before it, of the batches' chain as it then was,
    and of what the seal says; its moment is in the batch's leaf where it was made with a count.
    """
    said = f"{'-' if batch is None else batch} {leaves}".encode()
    return sha256(b"\x03" + before + beside + over + said).digest()
