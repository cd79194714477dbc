"""Apple Pay of the demo's own: a root, certificates below it, and tokens as phones send them.

Nothing of Apple's is here but the shapes; a gateway takes these tokens only if it is told to trust
this root.
"""

import base64
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any, Final

import orjson
from asn1crypto import algos, cms, core
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

LEAF: Final = "1.2.840.113635.100.6.29"
INTERMEDIATE: Final = "1.2.840.113635.100.6.2.14"
RECEIVER: Final = "1.2.840.113635.100.6.32"
RECEIVER_NAME: Final = "merchant.demo.kopeck"
_NULL: Final = b"\x05\x00"
_LASTS: Final = timedelta(days=365)
_ISSUING: Final = ("key_cert_sign", "crl_sign")
_SIGNING: Final = ("digital_signature",)
_USES: Final = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
    *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


@dataclass(frozen=True)
class Issued:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """The certificate as a PEM file."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key as a PEM file."""
        return key_pem(self.key)

    @property
    def public_bytes(self) -> bytes:
        """The public key as certificates hold it."""
        return public_bytes(self.key)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key as a PEM file."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The key's public half as certificates hold it."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A new key of the curve that both wallets use."""
    return ec.generate_private_key(ec.SECP256R1())


MakeKey = Callable[[], ec.EllipticCurvePrivateKey]


def issue(
    name: str,
    by: Issued | None,
    since: datetime,
    marks: Mapping[str, bytes],
    *,
    issues: bool = False,
    uses: Sequence[str] | None = None,
    lasts: timedelta = _LASTS,
    make_key: MakeKey = new_key,
) -> Issued:
    """A certificate with `marks` (extensions by their number), by another or by itself.

    `uses` are those of its key: by itself, to issue where it `issues`, else to sign.
    """
    key = make_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if by is None else by.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(since + lasts)
        .add_extension(x509.BasicConstraints(ca=issues, path_length=None), critical=True)
        .add_extension(_key_usage(uses or (_ISSUING if issues else _SIGNING)), critical=True)
    )
    for number, value in marks.items():
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(number), value)
        builder = builder.add_extension(extension, critical=False)
    return Issued(builder.sign(key if by is None else by.key, SHA256()), key)


def _key_usage(uses: Sequence[str]) -> x509.KeyUsage:
    return x509.KeyUsage(**{use: use in uses for use in _USES})


@dataclass(frozen=True)
class Signature:
    """What goes into a signature; another value of one of these makes a token to be refused."""

    leaf: Issued
    certificates: Sequence[x509.Certificate]
    signed_at: datetime
    digest: bytes
    key: ec.EllipticCurvePrivateKey | None = None
    carried: bytes | None = None

    def der(self) -> bytes:
        """A CMS of signed data, detached where nothing is carried."""
        attributes = cms.CMSAttributes(
            [
                cms.CMSAttribute({"type": "content_type", "values": ["data"]}),
                cms.CMSAttribute(
                    {
                        "type": "signing_time",
                        "values": [cms.Time({"utc_time": core.UTCTime(self.signed_at)})],
                    }
                ),
                cms.CMSAttribute({"type": "message_digest", "values": [self.digest]}),
            ]
        )
        signer = cms.SignerInfo(
            {
                "version": "v1",
                "sid": cms.SignerIdentifier({"issuer_and_serial_number": self._names_leaf()}),
                "digest_algorithm": algos.DigestAlgorithm({"algorithm": "sha256"}),
                "signed_attrs": attributes,
                "signature_algorithm": algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"}),
                "signature": (self.key or self.leaf.key).sign(
                    attributes.dump(), ec.ECDSA(SHA256())
                ),
            }
        )
        signed = cms.SignedData(
            {
                "version": "v1",
                "digest_algorithms": [algos.DigestAlgorithm({"algorithm": "sha256"})],
                "encap_content_info": {"content_type": "data", "content": self.carried},
                "certificates": [
                    asn1_x509.Certificate.load(one.public_bytes(Encoding.DER))
                    for one in self.certificates
                ],
                "signer_infos": [signer],
            }
        )
        found: bytes = cms.ContentInfo({"content_type": "signed_data", "content": signed}).dump()
        return found

    def _names_leaf(self) -> Any:
        leaf = asn1_x509.Certificate.load(self.leaf.certificate.public_bytes(Encoding.DER))
        return cms.IssuerAndSerialNumber(
            {"issuer": leaf.issuer, "serial_number": leaf.serial_number}
        )


class AppleWallet:
    """Apple and its phones, and the gateway's own payment processing certificate."""

    def __init__(self, since: datetime, make_key: MakeKey = new_key) -> None:
        made = partial(issue, since=since, make_key=make_key)
        self.root = made("Demo Root CA", None, marks={}, issues=True)
        self.intermediate = made(
            "Demo Integration CA", self.root, marks={INTERMEDIATE: _NULL}, issues=True
        )
        self.leaf = made("demo broker", self.intermediate, marks={LEAF: _NULL})
        self.receiver = sha256(RECEIVER_NAME.encode()).digest()
        self.own = made(
            "Apple Pay Payment Processing",
            self.intermediate,
            marks={RECEIVER: b"\x0c\x40" + self.receiver.hex().upper().encode()},
        )

    def content(self, pan: str, total: int) -> dict[str, Any]:
        """What a phone encrypts: the card of a device, and what its payer agreed to (kopecks)."""
        return {
            "applicationPrimaryAccountNumber": pan,
            "applicationExpirationDate": "301231",
            "currencyCode": "643",
            "transactionAmount": total,
            "deviceManufacturerIdentifier": "040010030273",
            "paymentDataType": "3DSecure",
            "paymentData": {"onlinePaymentCryptogram": _text(os.urandom(20)), "eciIndicator": "7"},
        }

    def token(
        self,
        content: Mapping[str, Any] | bytes,
        signed_at: datetime,
        *,
        application: bytes = b"",
        **changes: Any,
    ) -> dict[str, Any]:
        """A token with this content; `application` is the hash of what an app said with it.

        `changes` to its Signature make one that is to be refused.
        """
        ephemeral = new_key()
        spoken = public_bytes(ephemeral)
        plain = content if isinstance(content, bytes) else orjson.dumps(content)
        shared = ephemeral.exchange(ec.ECDH(), self.own.key.public_key())
        told = b"\x00\x00\x00\x01" + shared + b"\x0did-aes256-GCM" + b"Apple" + self.receiver
        encrypted = AESGCM(sha256(told).digest()).encrypt(bytes(16), plain, None)
        id_ = os.urandom(32)
        signature = Signature(
            leaf=self.leaf,
            certificates=(self.leaf.certificate, self.intermediate.certificate),
            signed_at=signed_at.astimezone(UTC),
            digest=sha256(spoken + encrypted + id_ + application).digest(),
        )
        told_by_app = {"applicationData": application.hex()} if application else {}
        return {
            "version": "EC_v1",
            "data": _text(encrypted),
            "signature": _text(replace(signature, **changes).der()),
            "header": {
                "ephemeralPublicKey": _text(spoken),
                "publicKeyHash": _text(sha256(self.own.public_bytes).digest()),
                "transactionId": id_.hex(),
                **told_by_app,
            },
        }


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
