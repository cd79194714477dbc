"""Payments by a wallet, as they are asked for: the token alone, which is opened later. Pure."""

from collections.abc import Mapping

from gateway.domain.payment import SealedToken
from gateway.domain.refusals import Refusal
from gateway.methods.facts import MethodFacts


def normalise(method: Mapping[str, object]) -> MethodFacts:
    """An `apple_pay` or `google_pay` payment with its token still sealed; Refusal method_invalid.

    Apple's token is an object, Google's an object or the text of one.
    """
    token = method.get("token")
    if method.keys() != {"type", "token"}:
        raise Refusal("method_invalid", "Expected type and token in this method, and no other key")
    is_google = method["type"] == "google_pay"
    if not isinstance(token, dict) and not (is_google and isinstance(token, str)):
        told = "an object or a text" if is_google else "an object"
        raise Refusal("method_invalid", f"Expected method.token {told}, was another kind")
    return MethodFacts(type=str(method["type"]), token=SealedToken(token))
