"""The checksum of the Sber gateway's callbacks, by a shared key or by the gateway's own (pure).

Every field but the checksum and its alias, in the order of names, as `name;value;`; HMAC-SHA256 of
that, or an RSA signature with SHA-512, written in hexadecimal capitals.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

FIELD: Final = "checksum"
_UNSIGNED: Final = (FIELD, "sign_alias")
_HEXADECIMAL: Final = re.compile(r"(?:[0-9A-F]{2}){1,1024}", re.ASCII)
_PEM: Final = "-----BEGIN "
_CERTIFICATE: Final = "-----BEGIN CERTIFICATE-----"

Check = Callable[[Mapping[str, str]], bool]


def signed_text(fields: Mapping[str, str]) -> bytes:
    """`amount;123456;mdOrder;…;status;1;`."""
    return "".join(
        f"{name};{fields[name]};" for name in sorted(fields) if name not in _UNSIGNED
    ).encode("utf-8", "surrogatepass")


def by_shared_key(key: str, fields: Mapping[str, str]) -> str:
    """The checksum by HMAC-SHA256: 64 hexadecimal digits, capitals."""
    return hmac.new(key.encode(), signed_text(fields), hashlib.sha256).hexdigest().upper()


def check_with(key: str) -> Check:
    """How to check callbacks with this key: a public key or certificate in PEM, or a shared one.

    ValueError for a PEM that holds no RSA key.
    """
    if not key.startswith(_PEM):
        return lambda fields: _shared_holds(key, fields)
    content = key.encode()
    public = (
        load_pem_x509_certificate(content).public_key()
        if key.startswith(_CERTIFICATE)
        else load_pem_public_key(content)
    )
    if not isinstance(public, RSAPublicKey):
        raise ValueError("Expected an RSA key")
    return lambda fields: _signature_holds(public, fields)


def _shared_holds(key: str, fields: Mapping[str, str]) -> bool:
    told = fields.get(FIELD, "").encode("utf-8", "surrogatepass")
    return hmac.compare_digest(told, by_shared_key(key, fields).encode())


def _signature_holds(key: RSAPublicKey, fields: Mapping[str, str]) -> bool:
    told = fields.get(FIELD, "")
    if _HEXADECIMAL.fullmatch(told) is None:
        return False
    try:
        key.verify(bytes.fromhex(told), signed_text(fields), PKCS1v15(), SHA512())
    except InvalidSignature:
        return False
    return True
