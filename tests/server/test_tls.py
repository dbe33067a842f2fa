"""The listener speaks TLS, and takes over a renewed certificate without a restart."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from keepstep.journal import InvalidInput
from keepstep.server.listener import Listener
from keepstep.server.tls import Certificate
from tests.cli.command import free_port
from tests.server.asking import until
from tests.server.certificates import write_certificate


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["scheme"].encode()})


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    files = write_certificate(tmp_path, "first")
    port = free_port()
    listener = Listener(hello, "127.0.0.1", port, certificate=Certificate(*files, look_seconds=0.01), grace_seconds=0)
    await listener.start()
    yield port
    await listener.stop()


async def shown(port: int, **limits: Any) -> str:
    """The name of the certificate that a new connection is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for name, value in limits.items():
        setattr(context, name, value)
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    data = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    found = x509.load_der_x509_certificate(data).subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    return str(found)


async def test_it_speaks_tls_and_its_application_knows(port: int, tmp_path: Path) -> None:
    trusting = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    async with httpx2.AsyncClient(verify=trusting) as web:
        answer = await web.get(f"https://127.0.0.1:{port}/")
    assert answer.text == "https"
    assert "strict-transport-security" not in answer.headers  # on this machine it would be for all that serve here
    async with httpx2.AsyncClient() as web:
        with pytest.raises(httpx2.HTTPError):
            await web.get(f"http://127.0.0.1:{port}/")
        with pytest.raises(httpx2.ConnectError):
            await web.get(f"https://127.0.0.1:{port}/")  # which nobody has vouched for


async def test_elsewhere_browsers_are_told_to_come_by_tls_alone(tmp_path: Path) -> None:
    files, port = write_certificate(tmp_path, "any"), free_port()
    listener = Listener(hello, "0.0.0.0", port, certificate=Certificate(*files), grace_seconds=0)
    await listener.start()
    async with httpx2.AsyncClient(verify=ssl.create_default_context(cafile=str(files[0]))) as web:
        answer = await web.get(f"https://127.0.0.1:{port}/")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    await listener.stop()


async def test_old_versions_are_not_spoken(port: int) -> None:
    with pytest.warns(DeprecationWarning, match="TLSv1"), pytest.raises((ssl.SSLError, ConnectionError)):
        await shown(port, minimum_version=ssl.TLSVersion.TLSv1, maximum_version=ssl.TLSVersion.TLSv1_1)


@pytest.mark.parametrize("kind", ["ec", "rsa"])
async def test_a_renewed_certificate_counts_without_a_restart(port: int, tmp_path: Path, kind: Any) -> None:
    assert await shown(port) == "first"
    write_certificate(tmp_path, "second", kind=kind)

    async def is_second() -> bool:
        return await shown(port) == "second"

    async with asyncio.timeout(20):
        await until(is_second)


async def test_a_pair_that_does_not_fit_changes_nothing(port: int, tmp_path: Path) -> None:
    certificate = Certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
    (elsewhere := tmp_path / "elsewhere").mkdir()
    new, its_key = write_certificate(elsewhere, "second")
    (tmp_path / "cert.pem").write_bytes(new.read_bytes())
    assert certificate.renew() is False
    assert await shown(port) == "first"
    (tmp_path / "key.pem").write_bytes(its_key.read_bytes())
    assert certificate.renew() is True
    assert certificate.renew() is False


def test_files_that_are_no_certificate_with_its_key_are_refused(tmp_path: Path) -> None:
    chain, key = write_certificate(tmp_path, "first")
    (other := tmp_path / "other").mkdir()
    _, another_key = write_certificate(other, "second")
    (nothing := tmp_path / "nothing.pem").write_text("hello")
    for one, two in ((chain, another_key), (nothing, key), (chain, nothing), (tmp_path / "missing.pem", key)):
        with pytest.raises(InvalidInput, match="no certificate with its key"):
            Certificate(one, two)
    (sealed := tmp_path / "sealed").mkdir()
    with pytest.raises(InvalidInput, match="passphrase"):
        Certificate(*write_certificate(sealed, "third", passphrase=b"hush"))
