"""What a caller would rather have, by RFC 7240: how much of an answer. Preferences that nobody here
knows are passed over, as the RFC has it.
"""

from typing import Final

from aiohttp import web

APPLIED: Final = "Preference-Applied"
MINIMAL: Final = "return=minimal"


def wants_minimal(request: web.BaseRequest) -> bool:
    """Whether `Prefer` asks for a minimal answer; of a preference told twice the first counts."""
    for told in request.headers.getall("Prefer", ()):
        for preference in told.split(","):
            name, _, value = preference.partition(";")[0].partition("=")
            if name.strip().lower() == "return":
                return value.strip().strip('"').lower() == "minimal"
    return False
