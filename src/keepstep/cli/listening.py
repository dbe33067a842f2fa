"""Listening: the address that a command serves HTTP at."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from keepstep.journal import InvalidInput

if TYPE_CHECKING:
    from keepstep.client.engine import Engine
    from keepstep.server.listener import Listener
    from keepstep.server.signing import Signatures
    from keepstep.server.tls import Certificate

F = TypeVar("F", bound=Callable[..., Any])

EVERY_ADDRESS = ("0.0.0.0", "::")


def callback_option(command: F) -> F:
    """``--callback-secrets FILE``, for what receives callbacks."""
    option = click.option(
        "--callback-secrets",
        metavar="FILE",
        help="Take callbacks that are signed with one of these secrets alone (also: KEEPSTEP_CALLBACK_SECRETS).",
    )
    return option(command)


def signatures_for(engine: Engine, path: str | None) -> Signatures | None:
    """What callbacks must be signed with; None where nobody has named a secret. Raises ``InvalidInput``."""
    from keepstep.server.signing import Signatures, read_secrets

    secrets = read_secrets(path)
    return Signatures(secrets, engine.journal.clock) if secrets else None


def parse_address(text: str) -> tuple[str, int]:
    """``[HOST:]PORT``. Raises ``InvalidInput``."""
    host, _, port = text.rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise InvalidInput(f"{text!r} is not [HOST:]PORT, such as 8710 or 127.0.0.1:8710")
    return host.strip("[]") or "127.0.0.1", int(port)


def base_url(host: str, port: int, scheme: str = "http") -> str:
    """Where others reach a listener: by this machine's name if it listens on every address."""
    name = socket.gethostname() if host in EVERY_ADDRESS else host
    return f"{scheme}://[{name}]:{port}" if ":" in name else f"{scheme}://{name}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def listen(
    app: Any, host: str, port: int, grace_seconds: float, certificate: Certificate | None = None
) -> Listener:
    """Serve an ASGI application there. Raises ``InvalidInput`` if the address cannot be had."""
    try:
        from keepstep.server.listener import Listener
    except ImportError as error:
        raise InvalidInput(f"--http needs more packages ({error.name}): pip install 'keepstep[server]'") from error
    listener = Listener(app, host, port, grace_seconds=grace_seconds, certificate=certificate)
    await listener.start()
    return listener
