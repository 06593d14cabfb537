"""The certificate of the server: generated once, and reloaded when its files change.

No authority has to vouch for the certificate: the host tells people its fingerprint, and their clients
remember it.
"""

from __future__ import annotations

import datetime
import ipaddress
import logging
import re
import socket
import ssl
import time
from hashlib import sha256
from pathlib import Path

from chat import private

# R72: of the fingerprint (SHA-256, 64 hexadecimal digits) in the command for the others: 128 bits, for which
# nobody finds a second certificate.
PIN_DIGITS = 32
VALID_DAYS = 3650  # our own clients check the fingerprint; browsers warn in any case
LOOK_SECONDS = 1.0  # between checks of the files: asking the disk for every newcomer would hold up a crowd
# For TLS 1.2; those of 1.3 are all good. All have forward secrecy, and none uses cipher block chaining.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"

log = logging.getLogger("chat.front.certificate")


class BadCertificate(Exception):
    """The certificate can't be used. The message is a sentence for the host: what is wrong, what to do."""


class Certificate:
    """A certificate and its key in two files (PEM). Raises BadCertificate."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self.files = (certificate, key)
        self._look_at = time.monotonic() + LOOK_SECONDS
        self._seen = self._state()
        self._context, self.fingerprint = _load(certificate, key)

    @property
    def pin(self) -> str:
        """The part of the fingerprint that clients are given."""
        return self.fingerprint[:PIN_DIGITS]

    def context(self) -> ssl.SSLContext:
        """The context for a handshake. Reloads changed files; if they are invalid, keeps the old ones."""
        if time.monotonic() >= self._look_at:
            self._look()
        return self._context

    def _look(self) -> None:
        self._look_at = time.monotonic() + LOOK_SECONDS
        state = self._state()
        if state == self._seen:
            return
        self._seen = state
        try:
            self._context, self.fingerprint = _load(*self.files)
        except BadCertificate as bad:
            log.error("%s The previous certificate stays in use.", bad)
        else:
            log.info("a new certificate is in use; its fingerprint is %s", self.fingerprint)

    def _state(self) -> list[tuple[int, int, int] | None]:
        return [_state(path) for path in self.files]


def own_certificate(folder: Path) -> Certificate:
    """The certificate that the server made itself in this folder, or makes now. Raises BadCertificate."""
    certificate, key = folder / "tls-cert.pem", folder / "tls-key.pem"
    if not (certificate.exists() and key.exists()):
        make(certificate, key)
        log.info("a certificate was made: %s", certificate)
    return Certificate(certificate, key)


def make(certificate: Path, key: Path) -> None:
    """Generate a key and a self-signed certificate. Raises BadCertificate."""
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
    except ImportError:
        raise BadCertificate(
            "to make a certificate, --tls needs the package cryptography: apt install python3-cryptography "
            "on Debian and Ubuntu, else pip install cryptography; or name an existing one with --tls-cert F "
            "--tls-key F."
        ) from None
    own_key = ec.generate_private_key(ec.SECP256R1())
    names = dict.fromkeys(filter(_is_host_name, ("localhost", socket.gethostname())))
    addresses = [ipaddress.ip_address(address) for address in ("127.0.0.1", "::1")]
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "TCP chat")])
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(own_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # some clocks are slow
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(
            x509.SubjectAlternativeName([*map(x509.DNSName, names), *map(x509.IPAddress, addresses)]), False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .sign(own_key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    encoded_key = own_key.private_bytes(
        encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        private.write(key, encoded_key)
        private.write(certificate, built.public_bytes(encoding))
    except OSError as error:
        raise BadCertificate(f"the certificate can't be written to {key.parent}: {error.strerror}.") from None


def fingerprint_of(certificate: bytes) -> str:
    """SHA-256 of a certificate in DER, as shown by openssl and browsers, but without colons."""
    return sha256(certificate).hexdigest()


def _is_host_name(name: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9.-]{1,253}", name) is not None


def _state(path: Path) -> tuple[int, int, int] | None:
    """A value that changes when the file does; None if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


# ------------------------------------------------------------------------------------------------ loading


def _load(certificate: Path, key: Path) -> tuple[ssl.SSLContext, str]:
    """The context made from the files, and the certificate's fingerprint. Raises BadCertificate."""
    for path in (certificate, key):
        _check_readable(path)
    try:
        private.check(key)
    except private.Exposed as exposed:
        raise BadCertificate(str(exposed)) from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.num_tickets = 0  # reconnecting costs little, and no key outlives its connection
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as error:
        raise BadCertificate(_why_not_loaded(certificate, key, error)) from None
    return context, _try_out(context, certificate)


def _check_readable(path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise BadCertificate(f"{path} can't be read: {error.strerror}.") from None


def _no_password() -> str:
    """Called for an encrypted key: without this, OpenSSL would ask at the terminal."""
    return ""


def _why_not_loaded(certificate: Path, key: Path, error: ssl.SSLError) -> str:
    if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"):
        return f"{key} is not the key of {certificate}; name two files that belong together."
    if b"ENCRYPTED" in key.read_bytes():
        return f"{key} has a password, which the server can't ask for; store the key without one (mode 600)."
    return f"{certificate} and {key} can't be used as certificate and key (PEM): {error.reason or error}."


def _try_out(context: ssl.SSLContext, certificate: Path) -> str:
    """Do a handshake with ourselves, as a client that trusts exactly this certificate. Returns its
    fingerprint.

    So a problem with it shows here, and not with the first client. Raises BadCertificate.
    """
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        trusting.load_verify_locations(certificate)
        server = context.wrap_bio(to_server, to_client, server_side=True)
        client = trusting.wrap_bio(to_client, to_server)
        for side in (client, server, client):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    except ssl.SSLCertVerificationError as error:
        raise BadCertificate(
            f"{certificate} can't be used: {error.verify_message}. Use another one; "
            "if the server generated this one, delete it together with its key."
        ) from None
    except ssl.SSLError as error:
        raise BadCertificate(f"{certificate} can't be used: {error.reason or error}.") from None
    der = client.getpeercert(binary_form=True)
    assert der
    return fingerprint_of(der)
