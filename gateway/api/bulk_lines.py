"""Lines of a bulk body to payments, many at a time. Pure, but for what it remembers of a body."""

from collections.abc import Sequence
from typing import Final

from gateway.api import decode
from gateway.api.payment_forms import FORMS_MAX, TEXT_BYTES_MAX, Form, form_of
from gateway.domain.payment import PaymentRequest
from gateway.domain.refusals import Refusal

# A form costs as much as ten lines, and a hundred where no other body has had it before.
LINES_MIN: Final = 20


class BulkLines:
    """Reads the lines of one body of a caller."""

    def __init__(self, caller: int) -> None:
        self._caller = caller
        self._forms: list[Form] = []

    def read(self, lines: Sequence[bytes | None]) -> list[PaymentRequest | Exception]:
        """The payment of each line, or why it is none; None is a line that is too long."""
        many = len(lines) >= LINES_MIN
        return [self._read(line, many) for line in lines]

    def _read(self, line: bytes | None, many: bool) -> PaymentRequest | Exception:
        if line is None:
            return Refusal("body_too_large", "Expected a shorter line")
        for form in self._forms:
            known = form.read(line, self._caller)
            if known is not None:
                return known
        try:
            request = decode.bulk_payment(line, self._caller)
            if many and len(self._forms) < FORMS_MAX and len(line) <= TEXT_BYTES_MAX:
                self._remember(line, request)
        except Exception as failure:
            return failure
        return request

    def _remember(self, line: bytes, request: PaymentRequest) -> None:
        form = form_of(line, decode.bulk_canonical(line), request)
        if form is not None:
            self._forms.append(form)
