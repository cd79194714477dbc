"""A file of SQL, statement by statement, as psql reads one (pure)."""

import re
from collections.abc import Iterator
from typing import Final

# What a semicolon may stand in without ending anything: comments, quoted texts and names, bodies of
# functions between dollars.
_WHOLE: Final = re.compile(
    r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"[^\"]*\"|\$([A-Za-z_]*)\$.*?\$\1\$", re.DOTALL
)


def statements(text: str) -> Iterator[str]:
    """The statements of a text in their order, without their semicolons; none that is a comment
    alone.
    """
    begin = at = 0
    bare = ""
    while at < len(text):
        whole = _WHOLE.match(text, at)
        if whole is not None:
            bare += "" if whole[0].startswith(("--", "/*")) else whole[0]
            at = whole.end()
        elif text[at] == ";":
            if bare.strip():
                yield text[begin:at].strip()
            begin = at = at + 1
            bare = ""
        else:
            bare += text[at]
            at += 1
    if bare.strip():
        yield text[begin:].strip()
