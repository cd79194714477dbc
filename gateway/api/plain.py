"""What a plain head of POST /v1/payments is: a strict list of header lines, each in one known form.

Plain is what nobody can read in two ways. Whatever is not on the list is not refused here but left
to aiohttp, and a head is plain only if aiohttp reads the very same request out of it.
"""

import re
from typing import Final

PATH: Final = "/v1/payments"
LINE: Final = f"POST {PATH} HTTP/1.1\r\n".encode()
# A head above this is left to aiohttp, whose own limits are wider.
HEAD_BYTES_MAX: Final = 4_096

_KEY: Final = b"idempotency-key"
_LENGTH: Final = b"content-length"
_REQUEST_ID: Final = b"x-request-id"
_TRACEPARENT: Final = b"traceparent"
_AUTHORIZATION: Final = b"authorization"
_NEEDED: Final = {b"host", _AUTHORIZATION, _KEY, _LENGTH}
# Of these the values change from request to request; all else of a head tends to be the same.
_VARYING: Final = (_KEY, _LENGTH, _REQUEST_ID, _TRACEPARENT)

_key_form: Final = re.compile(rb"[!-~]{1,255}").fullmatch
_length_form: Final = re.compile(rb"[1-9][0-9]{0,6}").fullmatch
_request_id_form: Final = re.compile(rb"[!-~]{1,128}").fullmatch
# Visible ASCII with spaces inside: no tab, no control character, nothing beyond ASCII.
_text_form: Final = re.compile(rb"[!-~](?:[ -~]{0,1022}[!-~])?").fullmatch

# Headers that say how a request is to be read are held to what changes nothing; of the others,
# those that clients and proxies send of themselves and that nothing here looks at.
_FORMS: Final = {
    b"host": re.compile(rb"[A-Za-z0-9.:_\[\]-]{1,255}").fullmatch,
    _AUTHORIZATION: re.compile(rb"Bearer [!-~]{8,256}").fullmatch,
    b"content-type": re.compile(rb"application/json(?:; ?charset=(?:utf|UTF)-8)?").fullmatch,
    b"connection": re.compile(rb"[Kk]eep-[Aa]live").fullmatch,
    _KEY: _key_form,
    _LENGTH: _length_form,
    _REQUEST_ID: _request_id_form,
    b"accept": _text_form,
    b"accept-encoding": _text_form,
    b"accept-language": _text_form,
    b"user-agent": _text_form,
    _TRACEPARENT: _text_form,
    b"tracestate": _text_form,
    b"x-forwarded-for": _text_form,
    b"x-forwarded-host": _text_form,
    b"x-forwarded-proto": _text_form,
    b"x-real-ip": _text_form,
}


Head = tuple[str, str | None, str | None, int, int]
"""What a plain head tells: the key, the request's id, its trace, where the body begins and ends."""


class Shape:
    """A head but for the values that vary: the same bytes mean the same, and need no second look.

    `authorization` is that header's whole value.
    """

    __slots__ = ("_first", "_first_size", "_others", "_places", "authorization")

    def __init__(self, fixed: list[bytes], varying: list[bytes], authorization: str) -> None:
        self.authorization = authorization
        self._first = fixed[0]
        self._first_size = len(fixed[0])
        self._others = [(piece, len(piece)) for piece in fixed[1:]]
        # Where among the varying values each one stands; the key and the length have to be there.
        self._places = tuple(varying.index(name) if name in varying else -1 for name in _VARYING)

    def read(self, content: bytes, at: int) -> Head | None:
        """The head that begins at `at`; None where it is of another shape, or is not whole."""
        if not content.startswith(self._first, at):
            return None
        start = at + self._first_size
        values = []
        for fixed, size in self._others:
            end = content.find(b"\r", start)
            if end < 0 or not content.startswith(fixed, end):
                return None
            values.append(content[start:end])
            start = end + size
        key_at, length_at, id_at, trace_at = self._places
        key, length = values[key_at], values[length_at]
        if _key_form(key) is None or _length_form(length) is None:
            return None
        given = trace = None
        if id_at >= 0:
            if _request_id_form(values[id_at]) is None:
                return None
            given = values[id_at].decode()
        if trace_at >= 0:
            if _text_form(values[trace_at]) is None:
                return None
            trace = values[trace_at].decode()
        return key.decode(), given, trace, start, start + int(length)


def shape_of(content: bytes, at: int) -> Shape | None:
    """The shape of the whole plain head that begins at `at`; None where there is none such."""
    end = content.find(b"\r\n\r\n", at, at + HEAD_BYTES_MAX)
    if end < 0 or not content.startswith(LINE, at):
        return None
    seen: dict[bytes, bytes] = {}
    varying = []
    fixed = [LINE]
    for line in content[at + len(LINE) : end].split(b"\r\n"):
        spelt, _, value = line.partition(b": ")
        name = spelt.lower()
        form = _FORMS.get(name)
        if form is None or name in seen or form(value) is None:
            return None
        seen[name] = value
        if name in _VARYING:
            varying.append(name)
            fixed[-1] += spelt + b": "
            fixed.append(b"\r\n")
        else:
            fixed[-1] += line + b"\r\n"
    if not seen.keys() >= _NEEDED:
        return None
    fixed[-1] += b"\r\n"
    return Shape(fixed, varying, seen[_AUTHORIZATION].decode())


def may_begin(content: bytes, at: int) -> bool:
    """Whether what has come of a head that begins at `at` may become plain with more to come."""
    return (
        LINE.startswith(content[at : at + len(LINE)])
        and len(content) - at < HEAD_BYTES_MAX
        and content.find(b"\r\n\r\n", at) < 0
    )
