"""Which reader a statement gets: as its sender says, or by its first bytes."""

from typing import Final

from gateway.domain.refusals import Refusal
from gateway.payouts.statements import camt, one_c
from gateway.payouts.statements.camt import CamtReader
from gateway.payouts.statements.lines import Reader, Statement, malformed
from gateway.payouts.statements.one_c import OneCReader

AUTO: Final = "auto"
FORMATS: Final = (AUTO, one_c.FORMAT, camt.FORMAT)
_MARGIN: Final = b"\xef\xbb\xbf \t\r\n"
# Of a form that is told by its first bytes no more than these may be blank.
_BLANK_MAX: Final = 1_024


class StatementReader:
    """Reads a statement of a format, or of whichever its bytes say."""

    def __init__(self, name: str) -> None:
        """Refusal malformed for an unknown format."""
        if name not in FORMATS:
            raise Refusal("malformed", f"Expected format one of {', '.join(FORMATS)}")
        self._begun = b""
        self._reader: Reader | None = None
        if name == one_c.FORMAT:
            self._reader = OneCReader()
        elif name == camt.FORMAT:
            self._reader = CamtReader()

    def feed(self, piece: bytes) -> None:
        """Reads on; Refusals malformed, control_total_mismatch."""
        if self._reader is None:
            self._begun += piece
            begun = self._begun.lstrip(_MARGIN)
            if begun.startswith((b"<", b"\xff\xfe", b"\xfe\xff")):
                self._reader = CamtReader()
            elif begun:
                self._reader = OneCReader()
            elif len(self._begun) > _BLANK_MAX:
                raise malformed("text")
            else:
                return
            piece, self._begun = self._begun, b""
        self._reader.feed(piece)

    def finish(self) -> Statement:
        """The whole; Refusals malformed, control_total_mismatch."""
        if self._reader is None:
            raise malformed("text")
        return self._reader.finish()
