"""The reference for people: /docs, its assets and /openapi.json, all of our own origin.

Nothing is fetched from elsewhere, and the page's policy forbids it to try.
"""

from functools import lru_cache
from importlib.resources import files

from gateway.api import replies
from gateway.api.call import Call, House
from gateway.api.replies import Reply

# RapiDoc styles its shadow tree from script, hence the inline styles; scripts are files only.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_PAGE_HEADERS = replies.header("Content-Security-Policy", POLICY) + replies.header(
    "Referrer-Policy", "no-referrer"
)
_HTML = "text/html; charset=utf-8"
_SCRIPT = "text/javascript; charset=utf-8"


@lru_cache(maxsize=8)
def _asset(path: str) -> bytes:
    return files("gateway.web").joinpath(path).read_bytes()


async def docs(house: House, call: Call) -> Reply:
    """GET /docs."""
    return Reply(replies.OK, _asset("docs.html"), _HTML, _PAGE_HEADERS)


async def rapidoc(house: House, call: Call) -> Reply:
    """GET /docs/rapidoc-min.js."""
    return Reply(replies.OK, _asset("assets/rapidoc-min.js"), _SCRIPT)


async def openapi(house: House, call: Call) -> Reply:
    """GET /openapi.json."""
    return Reply(replies.OK, house.openapi)
