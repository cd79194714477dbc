#!/usr/bin/env python3
"""Checks that a row is in a settlement batch: `python verify_proof.py ROOT < proof.json`.

ROOT is what your report names (the head of its last column, behind `root_`); the proof is what
`kopeck prove` printed. Standard library only; nothing here is trusted but ROOT. Prints the row.
"""

import json
import struct
import sys
from hashlib import sha256


def root_of(leaf: bytes, place: int, leaves: int, path: list[bytes]) -> bytes:
    """The root that a leaf at a place among so many leads to (RFC 6962, 2.1.1)."""
    node = sha256(leaf).digest()
    rest = iter(path)
    last = leaves - 1
    while last > 0:
        if place % 2:
            node = sha256(b"\x01" + next(rest) + node).digest()
        elif place < last:
            node = sha256(b"\x01" + node + next(rest)).digest()
        place, last = place // 2, last // 2
    if next(rest, None) is not None:
        raise ValueError("Expected a path that ends at the root, was longer")
    return node


def columns(leaf: bytes) -> list[bytes | None]:
    """The columns of a row, None where there is nothing; after the bytes of leaf and kind."""
    (count,) = struct.unpack_from(">i", leaf, 2)
    at, found = 6, []
    for _ in range(count):
        _, size = struct.unpack_from(">Ii", leaf, at)
        at += 8
        found.append(None if size < 0 else leaf[at : at + size])
        at += max(size, 0)
    if at != len(leaf):
        raise ValueError("Expected a whole row, was cut or longer")
    return found


def shown(name: str, value: bytes | None) -> str:
    """A column as people read it: numbers in digits, texts as they are, all else in hexadecimal."""
    if value is None:
        return "-"
    if name in TEXTS:
        return value.decode()
    if len(value) in (2, 4, 8):
        return str(int.from_bytes(value, "big", signed=True))
    return value.hex()


TEXTS = {
    *("subscriber_account", "facts", "designation", "reference"),
    *("name", "inn", "kpp", "bic", "account", "correspondent_account", "purpose", "format"),
    *("payer_account", "payer_bic", "document_number", "service", "reason"),
}


def main() -> None:
    """Exits 0 only where the row is in the tree of ROOT."""
    expected = sys.argv[1].removeprefix("root_")
    proof = json.load(sys.stdin)
    leaf = bytes.fromhex(proof["leaf"])
    path = [bytes.fromhex(node) for node in proof["path"]]
    if leaf[:1] != b"\x00":
        sys.exit("not proved: this is no leaf")
    found = root_of(leaf, proof["place"], proof["leaves"], path).hex()
    if found != expected:
        sys.exit(f"not proved: this row is in a batch of root {found}")
    print(f"proved: {proof['row']} is in the batch of root {found}")
    for name, value in zip(proof["columns"], columns(leaf), strict=True):
        print(f"  {name} = {shown(name, value)}")


if __name__ == "__main__":
    main()
