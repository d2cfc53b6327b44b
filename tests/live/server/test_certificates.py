"""HTTPS for the local network: what the certificate covers, who can read the keys, what is wrong with given ones."""

from __future__ import annotations

import ipaddress
import ssl
import stat
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from live.clock import wall_clock
from live.errors import ServerError
from live.server import certificates
from live.server.certificates import certificate_for, own_certificate

ADDRESSES = ["192.168.1.5", "10.0.0.7"]


def leaf_of(chain: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificates(chain.read_bytes())[0]


def test_it_names_every_address_for_no_more_than_a_year(tmp_path: Path) -> None:
    made = own_certificate(ADDRESSES, tmp_path / "new" / "folder")
    leaf = leaf_of(made.chain)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    covered = names.get_values_for_type(x509.IPAddress)
    assert {ipaddress.ip_address(address) for address in [*ADDRESSES, "127.0.0.1"]} <= set(covered)
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc < timedelta(days=398)
    assert leaf.not_valid_before_utc < wall_clock()
    assert made.own
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(made.chain, made.key)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such bits")
def test_nobody_else_can_read_the_keys(tmp_path: Path) -> None:
    own_certificate(ADDRESSES, tmp_path)
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


def test_it_stays_until_an_address_is_new_and_the_authority_stays_longer(tmp_path: Path) -> None:
    first = own_certificate(ADDRESSES, tmp_path).chain.read_bytes()
    assert own_certificate(ADDRESSES[:1], tmp_path).chain.read_bytes() == first
    authority = (tmp_path / "authority.pem").read_bytes()
    assert own_certificate([*ADDRESSES, "172.16.0.9"], tmp_path).chain.read_bytes() != first
    assert (tmp_path / "authority.pem").read_bytes() == authority


def test_it_is_renewed_before_it_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = own_certificate(ADDRESSES, tmp_path).chain.read_bytes()
    in_340_days = wall_clock() + timedelta(days=340)
    monkeypatch.setattr(certificates, "wall_clock", lambda: in_340_days)
    assert own_certificate(ADDRESSES, tmp_path).chain.read_bytes() != first


def test_damaged_files_are_made_anew(tmp_path: Path) -> None:
    own_certificate(ADDRESSES, tmp_path)
    for name in ("server.pem", "authority.pem"):
        (tmp_path / name).write_text("rubbish")
    made = own_certificate(ADDRESSES, tmp_path)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(made.chain, made.key)


def test_a_given_certificate_is_used(tmp_path: Path) -> None:
    leaf = trustme.CA().issue_cert("show.example")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    leaf.cert_chain_pems[0].write_to_path(cert)
    leaf.private_key_pem.write_to_path(key)
    made = certificate_for(ADDRESSES, cert, key, tmp_path)
    assert (made.chain, made.key, made.own) == (cert, key, False)


@pytest.mark.parametrize(
    ("cert", "key", "says"),
    [
        ("good.pem", None, "belong together"),
        (None, "good-key.pem", "belong together"),
        ("missing.pem", "good-key.pem", "missing.pem is not there"),
        ("good.pem", "missing.pem", "missing.pem is not there"),
        ("good.pem", "other-key.pem", "cannot be used"),
        ("rubbish.pem", "good-key.pem", "cannot be used"),
    ],
)
def test_a_certificate_that_is_no_good_says_so(tmp_path: Path, cert: str | None, key: str | None, says: str) -> None:
    for name in ("good", "other"):
        leaf = trustme.CA().issue_cert("show.example")
        leaf.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
        leaf.private_key_pem.write_to_path(tmp_path / f"{name}-key.pem")
    (tmp_path / "rubbish.pem").write_text("rubbish")
    with pytest.raises(ServerError) as refused:
        certificate_for(ADDRESSES, cert and tmp_path / cert, key and tmp_path / key, tmp_path)  # type: ignore[arg-type]
    assert says in refused.value.message
    assert refused.value.hint


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServerError) as refused:
        own_certificate(ADDRESSES, tmp_path / "file" / "folder")
    assert "--cert" in refused.value.hint
