from __future__ import annotations

import contextlib
import logging
import os
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from chat.front import certificate as certificate_module
from chat.front.certificate import BadCertificate, Certificate, fingerprint_of
from tests import certificates
from tests.files import is_private


def openssl(*arguments: str) -> str:
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True, text=True).stdout


def made_by_openssl(folder: Path, name: str, *options: str) -> tuple[Path, Path]:
    certificate, key = folder / f"{name}-cert.pem", folder / f"{name}-key.pem"
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=chat"),
        *("-keyout", str(key), "-out", str(certificate), "-days", "2", *(options or ("-nodes",))),
    )
    key.chmod(0o600)
    return certificate, key


def presented(certificate: Certificate) -> str:
    """The fingerprint of the certificate that a client gets."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = certificate.context().wrap_bio(to_server, to_client, server_side=True)
    client = certificates.client_context().wrap_bio(to_client, to_server)
    for side in (client, server, client):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return fingerprint_of(client.getpeercert(binary_form=True) or b"")


def test_a_generated_certificate_has_the_fingerprint_that_openssl_and_clients_see(
    tmp_path: Path,
) -> None:  # R72
    files = certificates.make(tmp_path)
    certificate = Certificate(*files)
    printed = openssl("x509", "-in", str(files[0]), "-noout", "-fingerprint", "-sha256")
    assert printed.strip().partition("=")[2].replace(":", "").lower() == certificate.fingerprint
    assert certificate.fingerprint.startswith(certificate.pin)
    assert presented(certificate) == certificate.fingerprint


def test_key_and_certificate_are_for_their_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        certificate, key = certificates.make(tmp_path)
    finally:
        os.umask(before)
    assert is_private(certificate)
    assert is_private(key)


def test_a_certificate_made_elsewhere_is_taken(tmp_path: Path) -> None:
    certificate = Certificate(*made_by_openssl(tmp_path, "own"))
    assert presented(certificate) == certificate.fingerprint


def why_not(certificate: Path, key: Path) -> str:
    with pytest.raises(BadCertificate) as bad:
        Certificate(certificate, key)
    return str(bad.value)


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    certificate, key = certificates.make(tmp_path)
    assert why_not(tmp_path / "none.pem", key).startswith(f"{tmp_path / 'none.pem'} can't be read")
    assert why_not(certificate, tmp_path / "none.pem").startswith(f"{tmp_path / 'none.pem'} can't be read")


def test_a_key_of_another_certificate_is_named(tmp_path: Path) -> None:
    certificate, _ = certificates.make(tmp_path, "one")
    _, key = certificates.make(tmp_path, "other")
    assert why_not(certificate, key).startswith(f"{key} is not the key of {certificate}")


def test_an_expired_certificate_is_named(tmp_path: Path) -> None:
    certificate, key = made_by_openssl(tmp_path, "old")
    openssl("x509", "-in", str(certificate), "-signkey", str(key), "-days", "-1", "-out", str(certificate))
    assert why_not(certificate, key).startswith(f"{certificate} can't be used: certificate has expired.")


def test_a_key_with_a_password_is_named_and_nobody_is_asked_for_it(tmp_path: Path) -> None:
    certificate, key = made_by_openssl(tmp_path, "locked", "-passout", "pass:secret")
    assert "has a password" in why_not(certificate, key)


@pytest.mark.parametrize("content", [b"", b"no certificate\n", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_damaged_certificate_is_named(tmp_path: Path, content: bytes) -> None:
    certificate, key = certificates.make(tmp_path)
    certificate.write_bytes(content)
    assert why_not(certificate, key).startswith(f"{certificate} and {key} can't be used")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    certificate, key = certificates.make(tmp_path)
    key.chmod(0o640)
    assert why_not(certificate, key) == (f"{key} can be read by others on this computer: chmod go-rwx {key}")


def test_new_files_are_loaded_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate_module, "LOOK_SECONDS", 0)
    files = certificates.make(tmp_path)
    certificate = Certificate(*files)
    before = certificate.fingerprint
    certificates.make(tmp_path)
    certificate.context()
    assert certificate.fingerprint != before
    assert presented(certificate) == certificate.fingerprint


def test_invalid_new_files_leave_the_old_certificate_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(certificate_module, "LOOK_SECONDS", 0)
    files = certificates.make(tmp_path)
    certificate = Certificate(*files)
    files[0].write_text("half a file")
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert presented(certificate) == certificate.fingerprint
    assert [found.getMessage().rpartition(". ")[2] for found in caplog.records] == [
        "The previous certificate stays in use."
    ]


def test_without_the_package_for_certificates_the_sentence_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(BadCertificate, match="pip install cryptography"):
        certificate_module.make(tmp_path / "cert.pem", tmp_path / "key.pem")


def test_weak_keys_are_refused(tmp_path: Path) -> None:
    certificate, key = tmp_path / "weak.pem", tmp_path / "weak-key.pem"
    openssl(
        *("req", "-x509", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=chat", "-days", "2"),
        *("-keyout", str(key), "-out", str(certificate)),
    )
    key.chmod(0o600)
    assert "KEY_TOO_SMALL" in why_not(certificate, key)


def test_the_context_offers_nothing_weak(tmp_path: Path) -> None:
    context = Certificate(*certificates.make(tmp_path)).context()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert {cipher["aead"] for cipher in context.get_ciphers()} == {True}
