"""TLS: from the files of a certificate and its key to what connections are made with.

Each reading makes a context of its own, so that a wrong pair of files never touches the one in use.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path

from spalloc_server.words import date_and_time

_WRONG_PAIR = "KEY_VALUES_MISMATCH"


class CertificateError(OSError):
    """A certificate can't be used; the message says why and what to do."""

    def __init__(self, sentence: str, *, of_key: bool = False) -> None:
        """Say why; `of_key` tells that the key's file is at fault."""
        super().__init__(sentence)
        self.of_key = of_key


class _LockedKeyError(Exception):
    """A key is protected by a password."""


def context_of(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return a context that shows a certificate, for TLS 1.2 and 1.3.

    Args:
        certificate: The file of the certificate, with those between it and a known authority after it, in PEM.
        key: The file of its private key, in PEM and without a password.

    Raises:
        CertificateError: They can't be used.
    """
    _check_file(certificate, "CERTIFICATE-----", "a certificate", of_key=False)
    _check_file(key, "PRIVATE KEY-----", "a private key", of_key=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, _no_password)
    except _LockedKeyError as error:
        raise CertificateError(
            f"{key} is protected by a password, and nobody is there to type it when the server starts; "
            f"write it without: openssl pkey -in {key} -out NEW.pem",
            of_key=True,
        ) from error
    except ssl.SSLError as error:
        if error.reason == _WRONG_PAIR:
            raise CertificateError(
                f"{key} is not the key of the certificate in {certificate}", of_key=True
            ) from error
        raise CertificateError(
            f"{certificate} and {key} can't be used together: {error.reason or error}"
        ) from error
    except OSError as error:
        raise CertificateError(f"{certificate} and {key} can't be read: {error.strerror or error}") from error
    return context


def _no_password() -> str:
    raise _LockedKeyError


def _check_file(path: Path, mark: str, what: str, *, of_key: bool) -> None:
    try:
        text = path.read_text("ascii", "replace")
    except OSError as error:
        raise CertificateError(f"{path} can't be read: {error.strerror or error}", of_key=of_key) from error
    if mark not in text:
        raise CertificateError(f"{path} has no {what.split(' ', 1)[1]} in PEM", of_key=of_key)


@dataclass(frozen=True, slots=True)
class About:
    """What a certificate says."""

    names: tuple[str, ...]
    """The hosts and addresses that it is for."""
    begins: float
    """In seconds of Unix time, as `ends`."""
    ends: float

    def is_late(self, wall: float) -> bool:
        """Return whether it is over or should have been renewed: certbot does so when a third of its time is left."""
        return self.ends - wall < (self.ends - self.begins) / 5

    def in_words(self, wall: float) -> str:
        """Return for whom it is, and until when.

        Args:
            wall: The time, in seconds of Unix time.
        """
        state = " (over: renew it)" if self.ends < wall else " (soon: renew it)" if self.is_late(wall) else ""
        return f"for {', '.join(self.names)} until {date_and_time(self.ends)}{state}"


def end_of(certificate: bytes) -> float:
    """Return when the first of certificates in PEM is over, in seconds of Unix time.

    Raises:
        ValueError: There is none.
    """
    from cryptography import x509

    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc.timestamp()


def about(certificate: Path) -> About:
    """Return what the first certificate in a file says.

    Raises:
        CertificateError: It can't be read.
    """
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except OSError as error:
        raise CertificateError(f"{certificate} can't be read: {error.strerror or error}") from error
    except ValueError as error:
        raise CertificateError(f"{certificate} has no valid certificate: {error}") from error
    except x509.ExtensionNotFound as error:
        raise CertificateError(
            f"the certificate in {certificate} names no host (subjectAltName), so no client accepts it; get another, "
            "or make one with: openssl req -x509 ... -addext subjectAltName=DNS:HOST"
        ) from error
    hosts = (*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress)))
    return About(hosts, found.not_valid_before_utc.timestamp(), found.not_valid_after_utc.timestamp())
