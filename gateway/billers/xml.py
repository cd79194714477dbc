"""An answer of a biller protocol as XML: elements in their order, and nothing but text in them."""

import re
from collections.abc import Iterable
from typing import Final
from xml.sax.saxutils import escape, quoteattr

MEDIA_TYPE: Final = "text/xml; charset=utf-8"

Element = tuple[str, str]

# Signs that XML 1.0 cannot hold, escaped or not.
_NOT_XML: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def response(elements: Iterable[Element], fields: Iterable[Element] = ()) -> bytes:
    """The whole document; `fields` follow as named `field1`, `field2`, ... within `fields`."""
    lines = [f"<{name}>{_text(value)}</{name}>" for name, value in elements]
    named = [
        f"<field{at} name={quoteattr(_clean(name))}>{_text(value)}</field{at}>"
        for at, (name, value) in enumerate(fields, 1)
    ]
    if named:
        lines.append(f"<fields>{''.join(named)}</fields>")
    content = "".join(lines)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<response>{content}</response>\n'.encode()


def _text(value: str) -> str:
    return escape(_clean(value))


def _clean(value: str) -> str:
    return _NOT_XML.sub("", value)
