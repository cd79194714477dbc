"""Apple's signature on a payment token: a detached CMS (RFC 5652) with its certificates. Pure.

Certificates are judged at the moment the signature says it was made; how long ago that may be is
the token's own question.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from asn1crypto import cms
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from msgspec import Struct

from gateway.domain.refusals import Refusal
from gateway.methods.wallet_text import invalid

CERTIFICATES_MAX: Final = 4
LEAF_MARK: Final = x509.ObjectIdentifier("1.2.840.113635.100.6.29")
INTERMEDIATE_MARK: Final = x509.ObjectIdentifier("1.2.840.113635.100.6.2.14")

_SIGNATURE_ALGORITHMS: Final = frozenset({"sha256_ecdsa", "ecdsa"})


class _Signed(Struct, frozen=True):
    """What the signature holds: certificates (DER), who signed, over what, and when it says so."""

    certificates: tuple[bytes, ...]
    issuer: bytes
    serial: int
    attributes: bytes
    digest: bytes
    signed_at: datetime
    signature: bytes


class _Chain(Struct, frozen=True):
    """A leaf that a root of ours stands behind, and when all of it is valid."""

    key: ec.EllipticCurvePublicKey
    issuer: bytes
    serial: int
    valid_from: datetime
    valid_until: datetime


def check(signature: bytes, content: bytes, roots: Sequence[bytes]) -> datetime:
    """When `content` was signed by Apple below one of `roots` (DER); Refusal token_invalid."""
    try:
        signed = _read(signature)
    except Refusal:
        raise
    except Exception:
        # A foreign reader of a foreign format: whatever it trips over, the token is at fault.
        raise invalid("signature as a CMS of Apple's") from None
    chain = _chain(signed.certificates, tuple(roots))
    if not chain.valid_from <= signed.signed_at <= chain.valid_until:
        raise invalid("certificates valid when the token was signed")
    if (signed.issuer, signed.serial) != (chain.issuer, chain.serial):
        raise invalid("a signature by the token's own certificate")
    if signed.digest != sha256(content).digest():
        raise invalid("a signature over this very token")
    try:
        chain.key.verify(signed.signature, signed.attributes, ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise invalid("a signature that holds") from None
    return signed.signed_at


def _read(signature: bytes) -> _Signed:
    envelope = cms.ContentInfo.load(signature)
    if envelope["content_type"].native != "signed_data":
        raise invalid("signature as signed data")
    signed = envelope["content"]
    content = signed["encap_content_info"]
    if content["content_type"].native != "data" or content["content"].native is not None:
        raise invalid("a detached signature")
    certificates = signed["certificates"]
    signers = signed["signer_infos"]
    if not 2 <= len(certificates) <= CERTIFICATES_MAX or len(signers) != 1:
        raise invalid(f"one signer and 2..{CERTIFICATES_MAX} certificates")
    signer = signers[0]
    if (
        signer["sid"].name != "issuer_and_serial_number"
        or signer["digest_algorithm"]["algorithm"].native != "sha256"
        or signer["signature_algorithm"]["algorithm"].native not in _SIGNATURE_ALGORITHMS
    ):
        raise invalid("a signature by ECDSA with SHA-256")
    attributes = _attributes(signer)
    if attributes["content_type"] != "data":
        raise invalid("a signature over data")
    return _Signed(
        certificates=tuple(one.chosen.dump() for one in certificates),
        issuer=signer["sid"].chosen["issuer"].dump(),
        serial=signer["sid"].chosen["serial_number"].native,
        # What is signed is the attributes as a set of their own (RFC 5652, 5.4).
        attributes=signer["signed_attrs"].untag().dump(),
        digest=attributes["message_digest"],
        signed_at=attributes["signing_time"].astimezone(UTC),
        signature=signer["signature"].native,
    )


def _attributes(signer: Any) -> dict[str, Any]:
    """The signed attributes by name, each of one value; one that stands twice is no attribute."""
    found: dict[str, Any] = {}
    for attribute in signer["signed_attrs"]:
        name = attribute["type"].native
        if name in found or len(attribute["values"]) != 1:
            raise invalid("every signed attribute once")
        found[name] = attribute["values"][0].native
    return found


@lru_cache(64)
def _chain(certificates: tuple[bytes, ...], roots: tuple[bytes, ...]) -> _Chain:
    """The chain from one of the roots to the leaf. Kept: Apple's certificates last for years, and
    to check them costs more than all else of a token.
    """
    try:
        return _chain_of(certificates, roots)
    except Refusal:
        raise
    except Exception:
        # Whatever a certificate says that the library does not take, it is not one of Apple's.
        raise invalid("certificates that lead to Apple's root") from None


def _chain_of(certificates: Sequence[bytes], roots: Sequence[bytes]) -> _Chain:
    found = [x509.load_der_x509_certificate(one) for one in certificates]
    leaf = _marked(found, LEAF_MARK, "leaf")
    intermediate = _marked(found, INTERMEDIATE_MARK, "intermediate")
    limits = intermediate.extensions.get_extension_for_class(x509.BasicConstraints).value
    if not limits.ca or not _may(intermediate, "key_cert_sign"):
        raise invalid("an intermediate certificate that may issue others")
    if not _may(leaf, "digital_signature"):
        raise invalid("a leaf certificate that may sign tokens")
    leaf.verify_directly_issued_by(intermediate)
    root = _root_of(intermediate, [x509.load_der_x509_certificate(one) for one in roots])
    key = leaf.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise invalid("a leaf certificate with an elliptic key")
    whole = (leaf, intermediate, root)
    return _Chain(
        key=key,
        issuer=leaf.issuer.public_bytes(),
        serial=leaf.serial_number,
        valid_from=max(one.not_valid_before_utc for one in whole),
        valid_until=min(one.not_valid_after_utc for one in whole),
    )


def _marked(
    certificates: Sequence[x509.Certificate], mark: x509.ObjectIdentifier, what: str
) -> x509.Certificate:
    found = [
        one for one in certificates if any(extension.oid == mark for extension in one.extensions)
    ]
    if len(found) != 1:
        raise invalid(f"one certificate marked as Apple's {what}")
    return found[0]


def _may(certificate: x509.Certificate, use: str) -> bool:
    """Whether the key may be used so; a certificate that says nothing of uses forbids none."""
    try:
        uses = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    allowed: bool = getattr(uses, use)
    return allowed


def _root_of(certificate: x509.Certificate, roots: Sequence[x509.Certificate]) -> x509.Certificate:
    for root in roots:
        try:
            certificate.verify_directly_issued_by(root)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return root
    raise invalid("certificates that lead to Apple's root")
