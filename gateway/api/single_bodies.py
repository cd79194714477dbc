"""Whole bodies to payments, one at a time, by the forms that each caller's bodies had before.

Pure, but for what it remembers of callers. A caller's sites write by one form or a few; what is of
none of them is read the general way.
"""

from typing import Final

from gateway.acquirers.requests import AuthorisationRequest
from gateway.api import decode
from gateway.api.payment_forms import FORMS_MAX, TEXT_BYTES_MAX, Form, form_of
from gateway.domain.payment import PaymentRequest

# Whoever sends fewer bodies than this is read the general way: a form costs as much as ten bodies.
BODIES_MIN: Final = 20
# A caller whose bodies have no form is not looked at for ever.
TRIES_MAX: Final = 16
CALLERS_MAX: Final = 256


class _Habits:
    """What is known of a caller: its forms, bodies that had none of them, and forms looked for."""

    __slots__ = ("forms", "tries", "unknown")

    def __init__(self) -> None:
        self.forms: list[Form] = []
        self.unknown = 0
        self.tries = 0


class SingleBodies:
    """Reads the bodies of one worker's single payments."""

    def __init__(self) -> None:
        self._callers: dict[int, _Habits] = {}

    def read(self, content: bytes, key: str, caller: int) -> PaymentRequest | AuthorisationRequest:
        """What decode.payment gives and refuses."""
        habits = self._callers.get(caller)
        if habits is None:
            habits = self._meet(caller)
        for form in habits.forms:
            known = form.read(content, caller, key)
            if known is not None:
                return known
        request = decode.payment(content, key, caller)
        habits.unknown += 1
        if (
            habits.unknown >= BODIES_MIN
            and habits.tries < TRIES_MAX
            and len(habits.forms) < FORMS_MAX
            and len(content) <= TEXT_BYTES_MAX
            and isinstance(request, PaymentRequest)
        ):
            habits.tries += 1
            learnt = form_of(content, decode.canonical(content), request)
            if learnt is not None:
                habits.forms.append(learnt)
        return request

    def _meet(self, caller: int) -> _Habits:
        if len(self._callers) >= CALLERS_MAX:
            # The one met first; if it still comes, it is met again.
            del self._callers[next(iter(self._callers))]
        habits = self._callers[caller] = _Habits()
        return habits
