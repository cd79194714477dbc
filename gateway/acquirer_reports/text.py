"""Bytes of a file to its lines, whatever the encoding and the line ends; bounded and linear.

UTF-8 tells itself. Which of the one-byte encodings a text is, its letters tell: only one of them
makes Russian out of it.
"""

from collections import Counter
from hashlib import blake2b
from typing import Final

from gateway.acquirer_reports.fields import Misfit

LINE_BYTES_MAX: Final = 16_384
BLOCK_BYTES: Final = 32_768
DIGEST_SIZE: Final = 16
UTF_8: Final = "utf-8"
ONE_BYTE: Final = ("cp1251", "cp866", "koi8-r")
# What stands for a byte that the encoding has no letter for.
REPLACED: Final = "\ufffd"
_BOM: Final = b"\xef\xbb\xbf"
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
# How often each letter stands among a thousand of Russian prose.
_OFTEN: Final = dict(
    zip(
        "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё",
        (
            *(110, 84, 80, 74, 67, 63, 55, 47, 45, 44, 35, 32, 30, 28, 26, 20, 19),
            *(17, 17, 16, 16, 14, 12, 10, 9, 7, 6, 5, 4, 3, 3, 1, 1),
        ),
        strict=True,
    )
)
_WEIGHTS: Final = {
    encoding: [
        _OFTEN.get(bytes((byte,)).decode(encoding, "replace").lower(), 0) for byte in range(256)
    ]
    for encoding in ONE_BYTE
}


class Lines:
    """Splits a stream of bytes into lines that hold anything, without their ends and outer spaces.

    `digest` stands for these lines, so it is the same in every encoding and with every line end.
    """

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._rest = b""
        self._begun = False
        self._encoding: str | None = None
        self._digest = blake2b(digest_size=DIGEST_SIZE)

    @property
    def digest(self) -> bytes:
        """16 bytes of what was split so far."""
        return self._digest.digest()

    def feed(self, piece: bytes) -> list[str]:
        """More lines, if this piece makes a block whole; raises Misfit."""
        waiting = self._waiting
        waiting += piece
        lines: list[str] = []
        # Blocks are cut where the file says, not the network: letters are judged a block at a time.
        while len(waiting) >= BLOCK_BYTES:
            lines += self._block(bytes(waiting[:BLOCK_BYTES]))
            del waiting[:BLOCK_BYTES]
        return lines

    def finish(self) -> list[str]:
        """The last lines, of which the very last may have no end of its own; raises Misfit."""
        return self._block(bytes(self._waiting) + b"\n")

    def _block(self, block: bytes) -> list[str]:
        if not self._begun:
            block = self._begin(block)
        end = block.rfind(b"\n")
        if end < 0:
            self._rest += block
            whole = b""
        else:
            whole, self._rest = self._rest + block[:end], block[end + 1 :]
        if len(self._rest) > LINE_BYTES_MAX:
            raise Misfit(f"lines of at most {LINE_BYTES_MAX} bytes")
        return self._split(whole)

    def _begin(self, block: bytes) -> bytes:
        self._begun = True
        if block.startswith(_UTF_16):
            raise Misfit("text of UTF-8, windows-1251, cp866 or KOI8-R")
        if block.startswith(_BOM):
            self._encoding = UTF_8
        return block.removeprefix(_BOM)

    def _split(self, whole: bytes) -> list[str]:
        text = self._decoded(whole)
        lines = [line for part in text.split("\n") if (line := part.strip(" \r"))]
        if lines:
            self._digest.update(("\n".join(lines) + "\n").encode())
        return lines

    def _decoded(self, whole: bytes) -> str:
        if self._encoding is None:
            if whole.isascii():
                return whole.decode("ascii")
            self._encoding = encoding_of(whole)
        try:
            # A name with one odd byte must not keep money from its account.
            return whole.decode(self._encoding, "strict" if self._encoding == UTF_8 else "replace")
        except UnicodeDecodeError:
            raise Misfit("text of one encoding") from None


def encoding_of(text: bytes) -> str:
    """The encoding of a text that is not ASCII and does not end within a letter."""
    try:
        text.decode(UTF_8)
    except UnicodeDecodeError:
        counted = Counter(text)
        return max(ONE_BYTE, key=lambda encoding: _russian(counted, _WEIGHTS[encoding]))
    return UTF_8


def _russian(counted: Counter[int], weights: list[int]) -> int:
    return sum(count * weights[byte] for byte, count in counted.items() if byte >= 0x80)
