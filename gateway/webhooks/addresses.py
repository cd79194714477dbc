"""Where webhooks may go (pure): a recipient's URL must not make us speak to our own network.

Every address is judged that a name has, and again the one that is connected to. What is let
through is listed for IPv6 and refused by list for IPv4, so that neither depends on what a version
of Python counts as global.
"""

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from gateway.config import Settings
from gateway.domain.refusals import Refusal

URL_MAX: Final = 2_048
HTTPS_PORT: Final = 443
_PRINTED: Final = re.compile(r"[!-~]+", re.ASCII)
_NAME: Final = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.?)+", re.ASCII)
_NUMBERS: Final = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)", re.ASCII)

# The special ones of RFC 6890 and its followers, 6to4 relays, and a cloud's address of metadata.
_REFUSED_4: Final = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",
    )
)
# What is given out to the world, less what embeds IPv4 (Teredo, 6to4) and documentation. Mapped,
# NAT64, local and multicast addresses are all outside of it.
_GIVEN_6: Final = ipaddress.IPv6Network("2000::/3")
_REFUSED_6: Final = tuple(
    ipaddress.IPv6Network(network)
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)


class ForbiddenAddress(Exception):
    """A name has an address that webhooks may not go to."""


class Rules(Struct, frozen=True):
    """Ports of https, and whether loopback may be spoken to (also by http, on any port)."""

    ports: frozenset[int]
    loopback: bool = False

    def may_go_to(self, address: str) -> bool:
        """Whether an address may be connected to."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        if self.loopback and found.is_loopback:
            return True
        if isinstance(found, ipaddress.IPv4Address):
            return not any(found in network for network in _REFUSED_4)
        if found.scope_id is not None or found not in _GIVEN_6:
            return False
        return not any(found in network for network in _REFUSED_6)

    def check_url(self, url: str) -> None:
        """Refuses `url_not_allowed` for a URL that nothing is sent to."""
        if len(url) > URL_MAX or _PRINTED.fullmatch(url) is None or "\\" in url:
            raise _not_allowed(f"at most {URL_MAX} printed ASCII characters without a backslash")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise _not_allowed("a URL") from None
        if not host or parts.scheme not in ("https", "http"):
            raise _not_allowed("a URL that begins with https://")
        if parts.username is not None or parts.password is not None or "#" in url:
            raise _not_allowed("no credentials and no fragment in it")
        literal = _literal(host)
        if literal is None and not _is_name(host):
            raise _not_allowed("a host by its name in ASCII, or a plain address")
        if literal is not None and not self.may_go_to(str(literal)):
            raise _not_allowed("a public address")
        if self.loopback and (host == "localhost" or (literal and literal.is_loopback)):
            return
        if parts.scheme != "https":
            raise _not_allowed("a URL that begins with https://")
        if (HTTPS_PORT if port is None else port) not in self.ports:
            raise _not_allowed(f"port {', '.join(map(str, sorted(self.ports)))}")


def rules_of(settings: Settings) -> Rules:
    """The rules that the settings make."""
    ports = frozenset(map(int, settings.webhook_ports.split(",")))
    return Rules(ports, settings.webhook_loopback == "allow")


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_name(host: str) -> bool:
    """A name, and none of the odd ways to write an IPv4 address that resolvers understand."""
    last = host.rstrip(".").rpartition(".")[2]
    return _NAME.fullmatch(host) is not None and _NUMBERS.fullmatch(last) is None


def _not_allowed(expected: str) -> Refusal:
    return Refusal("url_not_allowed", f"Expected {expected}, was another")
