"""What opens wallets' tokens in one worker: the keys that the settings name, and Google's roots.

Keys are read once, at the start, which a bad one refuses; the roots are kept fresh beside the road.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from gateway.config import PREFIX, Settings, StartRefused
from gateway.domain.payment import METHODS, SealedToken
from gateway.domain.refusals import Refusal, Unavailable
from gateway.methods import apple_pay, google_pay
from gateway.methods.apple_keys import AppleKeys, apple_keys
from gateway.methods.google_keys import GoogleKeys, RootKey, root_keys
from gateway.methods.private_keys import private_keys
from gateway.methods.wallet_text import OpenedCard
from gateway.storage.fresh_document import FreshDocument

APPLE_PAY: Final = METHODS.index("apple_pay")
GOOGLE_PAY: Final = METHODS.index("google_pay")
ROOTS_AGAIN_S: Final = 5

Roots = FreshDocument[tuple[RootKey, ...]]


@dataclass(frozen=True)
class Wallets:
    """The wallets that are set; None for one that is not."""

    apple: AppleKeys | None = None
    google: GoogleKeys | None = None
    google_roots: Roots | None = None

    def open(self, method: int, token: SealedToken, now: datetime) -> OpenedCard:
        """What may be kept of a sealed token.

        Refusals method_invalid for a wallet that is not set, and those of the wallet's own file;
        Unavailable while Google's root keys could not be had even once.
        """
        if method == APPLE_PAY and self.apple is not None:
            return apple_pay.open_token(token.content, self.apple, now)
        if method == GOOGLE_PAY and self.google is not None and self.google_roots is not None:
            roots = self.google_roots.value
            if roots is None:
                raise Unavailable(
                    "unavailable", "Google's root keys are not there yet", ROOTS_AGAIN_S
                )
            return google_pay.open_token(token.content, self.google, roots, now)
        raise Refusal("method_invalid", f"Expected a method that is set up, was {METHODS[method]}")

    async def keep_fresh(self) -> None:
        """Keeps Google's roots fresh until cancelled; ends at once where there are none to keep."""
        if self.google_roots is not None:
            await self.google_roots.keep_fresh()

    def expirations(self) -> Mapping[str, datetime]:
        """When what the settings name runs out, by setting; what never does is left out."""
        found = {}
        if self.apple is not None:
            found[_variable("apple_pay_certificate")] = self.apple.expires
        roots = self.google_roots.value if self.google_roots is not None else None
        ends = [one.expires for one in roots or () if one.expires is not None]
        if ends:
            # The last of them: Google has the next key in the document long before this one ends.
            found[_variable("google_pay_root_keys")] = max(ends)
        return found


def wallets_of(settings: Settings) -> Wallets:
    """What the settings name; StartRefused, in one line, for what cannot be used.

    A URL is not fetched here: a gateway from which Google cannot be reached takes cards as ever.
    """
    return Wallets(
        apple=_apple(settings), google=_google(settings), google_roots=_google_roots(settings)
    )


def _apple(settings: Settings) -> AppleKeys | None:
    names = ("apple_pay_certificate", "apple_pay_key", "apple_pay_root")
    paths = [getattr(settings, name) for name in names]
    if None in paths:
        return None
    contents = [_content(name, path) for name, path in zip(names, paths, strict=True)]
    try:
        return apple_keys(*contents)
    except ValueError as expected:
        raise StartRefused(f"{', '.join(map(_variable, names))}: {expected}") from None


def _google(settings: Settings) -> GoogleKeys | None:
    recipient, path = settings.google_pay_recipient, settings.google_pay_keys
    if recipient is None or path is None:
        return None
    content = _content("google_pay_keys", path)
    try:
        return GoogleKeys(recipient, private_keys(content))
    except ValueError as expected:
        raise StartRefused(f"{_variable('google_pay_keys')}: {expected}") from None


def _google_roots(settings: Settings) -> Roots | None:
    source = settings.google_pay_root_keys
    if source is None:
        return None
    roots = Roots(source, root_keys)
    if not roots.is_remote:
        try:
            roots.read_file()
        except (OSError, ValueError) as expected:
            told = expected.strerror if isinstance(expected, OSError) else expected
            raise StartRefused(f"{_variable('google_pay_root_keys')}: {told}") from None
    return roots


def _content(name: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as failure:
        raise StartRefused(
            f"Expected {_variable(name)} to be a file to read, was {path}: {failure.strerror}"
        ) from None


def _variable(name: str) -> str:
    return PREFIX + name.upper()
