"""Loaded by schemathesis: how it sends what it generates for a body of NDJSON."""

from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def as_lines(_: schemathesis.SerializationContext, value: Any) -> bytes:
    """The generated text as it is."""
    return value if isinstance(value, bytes) else str(value).encode()
