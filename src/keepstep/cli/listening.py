"""Listening: the address that a command serves HTTP at."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Any

from keepstep.journal import InvalidInput

if TYPE_CHECKING:
    from keepstep.server.listener import Listener

EVERY_ADDRESS = ("0.0.0.0", "::")


def parse_address(text: str) -> tuple[str, int]:
    """``[HOST:]PORT``. Raises ``InvalidInput``."""
    host, _, port = text.rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise InvalidInput(f"{text!r} is not [HOST:]PORT, such as 8710 or 127.0.0.1:8710")
    return host.strip("[]") or "127.0.0.1", int(port)


def base_url(host: str, port: int) -> str:
    """Where others reach a listener: by this machine's name if it listens on every address."""
    name = socket.gethostname() if host in EVERY_ADDRESS else host
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def listen(app: Any, host: str, port: int, grace_seconds: float) -> Listener:
    """Serve an ASGI application there. Raises ``InvalidInput`` if the address cannot be had."""
    try:
        from keepstep.server.listener import Listener
    except ImportError as error:
        raise InvalidInput(f"--http needs more packages ({error.name}): pip install 'keepstep[server]'") from error
    listener = Listener(app, host, port, grace_seconds=grace_seconds)
    await listener.start()
    return listener
