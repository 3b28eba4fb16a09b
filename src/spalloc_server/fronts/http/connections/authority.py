"""A certificate authority of one's own, for a server on this computer: made, kept in a folder, and used.

Only for trying things out: whoever has its key can make certificates that its users believe.
"""

import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_AUTHORITY_DAYS = 3650
_CERTIFICATE_DAYS = 365
_LEFT_DAYS = 400
"""An authority that ends before a certificate of this time would is replaced."""
_CLOCKS = timedelta(minutes=5)
"""By how much clients' clocks may be behind."""


@dataclass(frozen=True, slots=True)
class Made:
    """The files of a server's certificate."""

    bundle: Path
    """What clients are to believe: the authority and, before it, those that this computer believes anyway."""
    certificate: Path
    key: Path


def make_certificate(folder: Path, names: Sequence[str], now: datetime | None = None) -> Made:
    """Return a new certificate for some hosts and addresses, from the authority that is kept in a folder.

    Args:
        folder: Where the authority is kept; it and the folder are made if they are not there. The keys in it can only
            be read by their user.
        names: The hosts and IP addresses that the certificate is for.
        now: The time; None for the computer's.

    Raises:
        OSError: The folder can't be written.
    """
    at = now or datetime.now(UTC)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority, authority_key = _kept(folder, at) or _new_authority(folder, at)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(_name("spalloc on this computer"), authority.subject, key, at, _CERTIFICATE_DAYS)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    made = Made(folder / "authorities.pem", folder / "certificate.pem", folder / "key.pem")
    _write_key(made.key, key)
    _write(made.certificate, _pem(certificate))
    _write(made.bundle, _believed_anyway(made.bundle) + _pem(authority))
    return made


def _kept(folder: Path, at: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    """Return the authority in a folder; None if there is none that can be used for long enough."""
    try:
        found = x509.load_pem_x509_certificate((folder / "authority.pem").read_bytes())
        key = serialization.load_pem_private_key((folder / "authority-key.pem").read_bytes(), None)
    except (OSError, ValueError, TypeError):
        return None
    lasts = found.not_valid_after_utc - at > timedelta(days=_LEFT_DAYS)
    if isinstance(key, ec.EllipticCurvePrivateKey) and lasts and key.public_key() == found.public_key():
        return found, key
    return None


def _new_authority(folder: Path, at: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("spalloc's authority for this computer")
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(name, name, key, at, _AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_key(folder / "authority-key.pem", key)
    _write(folder / "authority.pem", _pem(certificate))
    return certificate, key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, at: datetime, days: int
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        issuer,
        subject,
        key.public_key(),
        x509.random_serial_number(),
        at - _CLOCKS,
        at + timedelta(days=days),
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _believed_anyway(bundle: Path) -> bytes:
    """Return the authorities that this computer believes, if they are in one file, other than a bundle of ours."""
    paths = ssl.get_default_verify_paths()
    for path in (paths.cafile, paths.openssl_cafile):
        try:
            if path and Path(path).absolute() != bundle.absolute():
                return Path(path).read_bytes().rstrip() + b"\n"
        except OSError:
            continue
    return b""


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)


def _write(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(content)
