"""Which kinds of acquirers there are, and what each has to be told to be spoken to.

A connector is a module beside this one with a class that keeps the Acquirer protocol; it stands
here with the names of its secrets (given as files) and of its options (given as text).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.acquirers.exchange import Exchange
from gateway.acquirers.raiffeisen import Raiffeisen
from gateway.acquirers.sandbox import Sandbox
from gateway.acquirers.sber import Sber
from gateway.acquirers.tbank import TBank
from gateway.acquirers.words import Acquirer
from gateway.acquirers.yookassa import YooKassa


@dataclass(frozen=True)
class Wiring:
    """What a connector is made of: connections, its options and its secrets, by name.

    Every name that its kind requires is there; an optional one may be absent.
    """

    exchange: Exchange
    options: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class Kind:
    """How to make a connector, the names it needs, and the instruments it takes.

    `instruments` are names of methods as a payment has them: card, sbp, mir, apple_pay, google_pay.
    """

    make: Callable[[Wiring], Acquirer]
    instruments: frozenset[str]
    secrets: frozenset[str]
    options: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()


KINDS: Final[dict[str, Kind]] = {
    "raiffeisen": Kind(
        make=lambda wiring: Raiffeisen(wiring.exchange, wiring.options, wiring.secrets),
        instruments=frozenset({"sbp"}),
        secrets=frozenset({"key"}),
        options=frozenset({"merchant"}),
        optional=frozenset({"account"}),
    ),
    "sandbox": Kind(
        make=lambda wiring: Sandbox(wiring.exchange, wiring.secrets["key"]),
        instruments=frozenset({"card", "sbp", "mir", "apple_pay", "google_pay"}),
        secrets=frozenset({"key"}),
    ),
    "sber": Kind(
        make=lambda wiring: Sber(wiring.exchange, wiring.options, wiring.secrets),
        instruments=frozenset({"card", "sbp", "mir", "apple_pay", "google_pay"}),
        secrets=frozenset({"password", "callback_key"}),
        options=frozenset({"user", "return_url"}),
        optional=frozenset({"merchant", "sbp_path", "acs_page"}),
    ),
    "tbank": Kind(
        make=lambda wiring: TBank(wiring.exchange, wiring.options, wiring.secrets),
        instruments=frozenset({"card", "sbp", "mir", "apple_pay", "google_pay"}),
        secrets=frozenset({"password"}),
        options=frozenset({"terminal"}),
        optional=frozenset({"notification_url", "initiator", "absent_codes"}),
    ),
    "yookassa": Kind(
        make=lambda wiring: YooKassa(wiring.exchange, wiring.options, wiring.secrets),
        instruments=frozenset({"card", "sbp", "mir"}),
        secrets=frozenset({"key"}),
        options=frozenset({"shop", "return_url", "bank_name"}),
        optional=frozenset({"networks", "kbk", "oktmo"}),
    ),
}
