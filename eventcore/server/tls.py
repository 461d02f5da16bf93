"""TLS for the daemon's port: a certificate, its key, and the versions of HTTP that are offered.

Clients choose between HTTP/2 and HTTP/1.1 in the handshake (ALPN). Nobody is asked for a
certificate of their own: TLS says who the daemon is, not who calls.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Final

from eventcore.errors import InvalidParameter

__all__ = ["tls_context"]

PROTOCOLS: Final = ("h2", "http/1.1")

_REASONS: Final = {
    "KEY_VALUES_MISMATCH": "the key is not the certificate's",
    "EE_KEY_TOO_SMALL": "the key is too small to be safe",
}


def tls_context(certificate: str, key: str) -> ssl.SSLContext:
    """Reads the certificate (with the chain behind it) and its key, both in PEM.

    Raises InvalidParameter for files that cannot be read or do not belong together.
    """
    _check_readable("tls_certificate", certificate)
    _check_readable("tls_key", key)
    _check_certificate(certificate)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(list(PROTOCOLS))
    try:
        context.load_cert_chain(certificate, key, password=_refuse_password)
    except _EncryptedKey as error:
        raise InvalidParameter(
            "tls_key", f"{key}: the key is encrypted; nobody is there to be asked for the password"
        ) from error
    except ssl.SSLError as error:
        # OpenSSL has no reason of its own for a file that is something else.
        reason = _REASONS.get(error.reason, error.reason) or "it has no key in PEM form"
        raise InvalidParameter("tls_key", f"{key} with {certificate}: {reason}", key) from error
    return context


class _EncryptedKey(Exception):
    pass


def _refuse_password() -> str:
    raise _EncryptedKey


def _check_readable(option: str, path: str) -> None:
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise InvalidParameter(option, f"cannot read {path}: {reason}", path) from error


def _check_certificate(path: str) -> None:
    """OpenSSL's error does not say which of the two files is at fault; this one is read alone."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(path)
    except ssl.SSLError as error:
        reason = "it has no certificate in PEM form"
        raise InvalidParameter("tls_certificate", f"{path}: {reason}", path) from error
