"""A network of a test is cut, silent or slow from the moment that it is told to be."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from keepstep.testing.postgres import Proxy


@pytest.fixture
def echo_port() -> Iterator[int]:
    """A server that says again what it hears, until its client has no more to say."""

    def answer(client: socket.socket) -> None:
        try:
            while heard := client.recv(4096):
                client.sendall(heard)
        except OSError:
            pass
        client.close()

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(echo_port: int) -> Iterator[Proxy]:
    with Proxy(echo_port) as made:
        yield made


def _connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=20)


def _say_all(client: socket.socket, what: bytes) -> None:
    client.sendall(what)
    client.shutdown(socket.SHUT_WR)


def _hear(client: socket.socket, length: int) -> bytes:
    heard = b""
    while len(heard) < length:
        heard += client.recv(length - len(heard))
    return heard


def test_what_comes_is_passed_on_with_its_end(proxy: Proxy) -> None:
    much = b"0123456789" * 100_000
    with _connect(proxy) as client:
        sender = threading.Thread(target=_say_all, args=(client, much))
        sender.start()
        assert _hear(client, len(much)) == much
        assert client.recv(1) == b""
        sender.join()


def test_a_cut_network_resets_its_clients_and_takes_no_new_ones(proxy: Proxy) -> None:
    with _connect(proxy) as client:
        client.sendall(b"before")
        assert _hear(client, 6) == b"before"
        assert proxy.connections == 1
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        _connect(proxy)
    port = proxy.port
    proxy.heal()
    assert proxy.port == port
    with _connect(proxy) as client:
        client.sendall(b"after")
        assert _hear(client, 5) == b"after"


def test_a_silent_network_tells_nobody_and_delivers_when_it_is_healed(proxy: Proxy) -> None:
    with _connect(proxy) as old:
        old.sendall(b"before")
        assert _hear(old, 6) == b"before"
        proxy.silence()
        with _connect(proxy) as new:
            for client in (old, new):
                client.sendall(b"lost?")
                client.settimeout(0.1)
                with pytest.raises(TimeoutError):
                    client.recv(1)
            proxy.heal()
            for client in (old, new):
                client.settimeout(20)
                assert _hear(client, 5) == b"lost?"


def test_a_silent_network_that_is_cut_resets_its_clients(proxy: Proxy) -> None:
    with _connect(proxy) as client:
        proxy.silence()
        client.sendall(b"lost")
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_slow_network_keeps_the_order(proxy: Proxy) -> None:
    proxy.slow(0.1)
    with _connect(proxy) as client:
        began = time.monotonic()
        for word in (b"one ", b"two ", b"three"):
            client.sendall(word)
        assert _hear(client, 13) == b"one two three"
        assert time.monotonic() - began >= 0.2  # there and back
