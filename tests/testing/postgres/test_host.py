"""Another machine on this one is reached through its cable alone."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading

import pytest

from keepstep.testing.postgres import Host, why_no_hosts

CLIENT = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3])) as client:
        print(client.recv(5).decode())
except OSError as error:
    print(type(error).__name__)
"""


def _ask(host: Host, address: str, port: int, seconds: float) -> str:
    command = host.command(sys.executable, "-c", CLIENT, address, str(port), str(seconds))
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _greet(server: socket.socket) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        with client:
            client.sendall(b"hello")


def test_a_machine_that_cannot_have_hosts_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/sbin/{name}")
    assert why_no_hosts() == "only root can make network namespaces"
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert "iproute2" in (why_no_hosts() or "")


@pytest.mark.skipif(why_no_hosts() is not None, reason=str(why_no_hosts()))
def test_a_host_reaches_its_gateway_until_the_cable_is_pulled_and_nothing_else() -> None:
    with Host() as host, socket.create_server((host.gateway, 0)) as server:
        threading.Thread(target=_greet, args=(server,), daemon=True).start()
        port = server.getsockname()[1]
        assert _ask(host, host.gateway, port, 20) == "hello"
        assert _ask(host, "127.0.0.1", port, 20) == "ConnectionRefusedError"
        host.unplug()
        assert _ask(host, host.gateway, port, 0.5) in ("TimeoutError", "OSError")
        host.plug()
        assert _ask(host, host.gateway, port, 20) == "hello"
        server.shutdown(socket.SHUT_RDWR)
