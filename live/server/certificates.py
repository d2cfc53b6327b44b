"""HTTPS for the local network: our own small authority, or the user's certificate.

The authority and its certificate live in the user's configuration folder, readable by the user alone. A phone warns
once about a certificate that nobody it knows has signed; installing `authority.pem` on it ends that. The certificate
names every address of this machine and is made anew when one is missing or its year is nearly over.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from live.clock import wall_clock
from live.errors import ServerError
from live.files import config_folder, write_private

__all__ = ["Certificate", "certificate_for", "own_certificate"]

LIFETIME = timedelta(days=365)  # browsers take no more than 398 days
RENEW_BEFORE = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files for a TLS server. `own`: of our own authority, so browsers warn."""

    chain: Path
    key: Path
    own: bool


def certificate_for(
    addresses: Sequence[str], cert: Path | None, key: Path | None, folder: Path | None = None
) -> Certificate:
    """The user's own certificate, or one of ours for these addresses.

    Raises:
        ServerError: a file is missing, unreadable, or the two do not belong together.
    """
    if cert is None and key is None:
        return own_certificate(addresses, folder or config_folder())
    if cert is None or key is None:
        raise ServerError("A certificate and its key belong together.", "Give both: --cert FILE --key FILE")
    for path in (cert, key):
        if not path.is_file():
            raise ServerError(f"{path} is not there.", "Check the paths given to --cert and --key.")
    try:
        # The empty password stops OpenSSL from asking for one on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: "")
    except (ssl.SSLError, OSError) as error:
        raise ServerError(
            f"{cert} and {key} cannot be used for HTTPS: {getattr(error, 'reason', None) or error}.",
            "Give a PEM certificate chain and its key without a password, as mkcert and `tailscale cert` make them.",
        ) from None
    return Certificate(cert, key, own=False)


def own_certificate(addresses: Sequence[str], folder: Path) -> Certificate:
    """A certificate of our own authority that is good for all `addresses` and this machine's name."""

    names = {*addresses, "127.0.0.1", "localhost", *_own_names()}
    chain, key = folder / "server.pem", folder / "server-key.pem"
    if _covers(chain, names) and key.is_file():
        return Certificate(chain, key, own=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        authority = _authority(folder)
        now = wall_clock()
        leaf = authority.issue_cert(*sorted(names), not_before=now - timedelta(days=1), not_after=now + LIFETIME)
        write_private(key, leaf.private_key_pem.bytes())
        write_private(chain, b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    except OSError as error:
        raise ServerError(
            f"The certificate cannot be written to {folder}: {error.strerror}.",
            "Make that folder writable, or give your own: --cert FILE --key FILE",
        ) from None
    return Certificate(chain, key, own=True)


def _authority(folder: Path) -> Any:
    """The authority, made once: a phone that trusts it trusts every later certificate."""
    import trustme

    cert, key = folder / "authority.pem", folder / "authority-key.pem"
    if cert.is_file() and key.is_file():
        try:
            return trustme.CA.from_pem(cert.read_bytes(), key.read_bytes())
        except ValueError:
            pass  # damaged: make another
    authority = trustme.CA(organization_name="faceshot live", organization_unit_name=socket.gethostname()[:60])
    write_private(key, authority.private_key_pem.bytes())
    write_private(cert, authority.cert_pem.bytes())
    return authority


def _covers(chain: Path, names: set[str]) -> bool:
    from cryptography import x509

    try:
        leaf = x509.load_pem_x509_certificates(chain.read_bytes())[0]
        alternatives = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, IndexError, x509.ExtensionNotFound):
        return False
    covered = {str(name) for name in alternatives.get_values_for_type(x509.IPAddress)}
    covered |= set(alternatives.get_values_for_type(x509.DNSName))
    now: datetime = wall_clock()
    return names <= covered and leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc - RENEW_BEFORE


def _own_names() -> set[str]:
    name = socket.gethostname().lower()
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return {name, f"{name}.local"} if name.isascii() and name.replace("-", "").replace(".", "").isalnum() else set()
    return set()
