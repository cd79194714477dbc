"""XML as payout files need it: one element a line, the same bytes for the same words, pure.

Must not leave a character to a reader's mercy: what is no text of XML, or not in the file's
encoding, is refused before the file is made.
"""

from collections.abc import Iterator
from typing import Final

from gateway.payouts.files.order import refused

_INDENT: Final = "  "
_TEXT: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_VALUE: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})


class Element:
    """One element: its attributes, and either a text or children, all in the order given."""

    __slots__ = ("_attributes", "_children", "_name", "_text")

    def __init__(
        self,
        name: str,
        *children: "Element | None",
        text: str | None = None,
        **attributes: str | int | None,
    ) -> None:
        """Children and attributes that are None are left out."""
        self._name = name
        self._children = [child for child in children if child is not None]
        self._text = text
        self._attributes = {
            key: str(value) for key, value in attributes.items() if value is not None
        }

    def lines(self, depth: int = 0) -> Iterator[str]:
        """The element as lines."""
        head = "".join(
            f' {name}="{value.translate(_VALUE)}"' for name, value in self._attributes.items()
        )
        indent = _INDENT * depth
        if self._text is not None:
            text = self._text.translate(_TEXT)
            yield f"{indent}<{self._name}{head}>{text}</{self._name}>"
        elif not self._children:
            yield f"{indent}<{self._name}{head}/>"
        else:
            yield f"{indent}<{self._name}{head}>"
            for child in self._children:
                yield from child.lines(depth + 1)
            yield f"{indent}</{self._name}>"

    def told(self) -> Iterator[str]:
        """Every text and value in it."""
        if self._text is not None:
            yield self._text
        yield from self._attributes.values()
        for child in self._children:
            yield from child.told()


def document(root: Element, encoding: str) -> bytes:
    """The file; Refusal state_conflict for a character that it cannot carry."""
    for text in root.told():
        if any(char < " " or char in "\x7f\ufffe\uffff" for char in text):
            raise refused("file", "texts on one line", "a control character")
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            raise refused("file", f"texts in {encoding}", "another character") from None
    head = f'<?xml version="1.0" encoding="{encoding}"?>'
    return "\n".join([head, *root.lines(), ""]).encode(encoding)
