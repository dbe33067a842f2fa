"""Certificates that a test makes for this machine, signed by themselves."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


def write_certificate(
    folder: Path, name: str, *, kind: Literal["ec", "rsa"] = "ec", passphrase: bytes = b""
) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 under that name, and its key; replaces those that are there."""
    key = ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    sealed: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        sealed = serialization.BestAvailableEncryption(passphrase)
    pem = serialization.Encoding.PEM
    files = folder / "cert.pem", folder / "key.pem"
    for file, data in zip(
        files,
        (certificate.public_bytes(pem), key.private_bytes(pem, serialization.PrivateFormat.PKCS8, sealed)),
        strict=True,
    ):
        new = file.with_suffix(".new")  # as tools that renew do it, so that nobody reads half of one
        new.write_bytes(data)
        new.replace(file)
    return files
