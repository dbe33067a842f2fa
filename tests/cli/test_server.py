"""``keepstep server`` as a real process: it answers, runs a module if told so, and stops when it is told to."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import signal
import ssl
import time
from pathlib import Path

import click
import httpx2
import pytest

from keepstep.cli.keys import keys_command
from keepstep.cli.listening import is_loopback
from keepstep.cli.server import server_command
from tests.cli.command import Command, free_port
from tests.server.certificates import write_certificate


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


def test_it_serves_the_api_and_runs_a_module_until_it_is_told_to_stop(command: Command) -> None:
    base = f"http://127.0.0.1:{(port := free_port())}"
    command.environment["PYTHONUNBUFFERED"] = "1"
    server = command.begin("server", "--http", str(port), "--app", "app")
    try:
        assert server.stdout is not None
        assert base in server.stdout.readline()
        with httpx2.Client(base_url=base, timeout=20) as web:
            assert web.get("/readyz").text == "ok\n"
            body = {"type": "buy", "input": [{"id": 7, "item": "tea"}], "id": "b/7"}
            assert web.post("/api/v1/runs", json=body).status_code == 201
            command.until(lambda: "pick it" in web.get("/api/v1/runs/b%2F7").json()["progress"])
            elsewhere = web.get("/api/v1/runs", params={"namespace": "elsewhere"})
            assert (elsewhere.status_code, elsewhere.json()["runs"]) == (200, [])
            assert "keepstep" in web.get("/metrics").text
        server.send_signal(signal.SIGTERM)
        output, complaints = server.communicate(timeout=20)
        assert (server.returncode, "stopping" in output) == (0, True), complaints
    finally:
        server.kill()
        server.wait()
    assert [run["id"] for run in command.json("list")] == ["b/7"]


def test_an_address_that_others_reach_is_refused_while_there_is_no_key(command: Command) -> None:
    refused = command("server", "--http", "0.0.0.0:8710")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "keepstep keys create" in refused.stderr
    assert "--allow-anonymous" in refused.stderr
    assert "--oidc-issuer" in refused.stderr


OIDC = ("--oidc-issuer", "https://idp.example", "--oidc-client-id", "keepstep")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--tls-cert", "cert.pem"), "go together"),
        (("--tls-cert", "no.pem", "--tls-key", "no.pem"), "no certificate with its key"),
        (("--require-keys", "--allow-anonymous"), "leave one out"),
        ((*OIDC, "--allow-anonymous"), "leave one out"),
        (OIDC, "--oidc-role"),
        ((*OIDC, "--oidc-role", "root=x"), "ROLE=GROUP"),
        (("--oidc-role", "admin=x"), "need --oidc-issuer"),
        ((*OIDC, "--oidc-role", "admin=x", "--oidc-client-secret-file", "nowhere"), "cannot be read"),
        ((*OIDC, "--oidc-role", "admin=x", "--http", "0.0.0.0:8710"), "--public-url must begin with https"),
        (("--oidc-issuer", "http://idp.example", "--oidc-client-id", "x", "--oidc-role", "admin=x"), "with https"),
    ],
)
def test_options_that_do_not_go_together_are_refused(command: Command, options: tuple[str, ...], why: str) -> None:
    refused = command("server", "--http", str(free_port()), *options)
    assert (refused.returncode, refused.stdout, why in refused.stderr) == (2, "", True), refused.stderr


def test_it_starts_while_the_identity_provider_is_away_and_speaks_tls(command: Command, tmp_path: Path) -> None:
    chain, key = write_certificate(tmp_path, "here")
    base = f"https://127.0.0.1:{(port := free_port())}"
    command.environment["PYTHONUNBUFFERED"] = "1"
    command.environment["KEEPSTEP_OIDC_CLIENT_SECRET"] = "hush"
    tls = ("--tls-cert", str(chain), "--tls-key", str(key))
    issuer = f"http://127.0.0.1:{free_port()}"
    oidc = ("--oidc-issuer", issuer, "--oidc-client-id", "keepstep", "--oidc-role", "admin@shop=shopkeepers")
    server = command.begin("server", "--http", str(port), *tls, *oidc)
    try:
        assert server.stdout is not None
        assert f"{base}; callers show keys or log in at {issuer}" in server.stdout.readline()
        with httpx2.Client(base_url=base, timeout=20, verify=ssl.create_default_context(cafile=str(chain))) as web:
            assert web.get("/readyz").text == "ok\n"
            assert web.get("/api/v1/session").json()["log_in"] == {"name": issuer[7:], "path": "login/oidc"}
            assert (web.get("/api/v1/runs").status_code, web.get("/login/oidc").status_code) == (401, 503)
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize(
    ("host", "is_own"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
     ("192.0.2.7", False), ("example.org", False), ("localhost.example.org", False)],
)  # fmt: skip
def test_which_addresses_only_this_machine_reaches(host: str, is_own: bool) -> None:
    assert is_loopback(host) == is_own


def test_keys_are_made_listed_and_revoked_and_the_server_asks_for_them(command: Command) -> None:
    key = command("keys", "create", "ada", "--role", "read", "--expires", "90d").stdout.strip()
    assert command("keys", "create", "ada", "--role", "admin").returncode == 2
    assert command("keys", "create", "bob", "--role", "operate", "--namespace", "shop").returncode == 0
    [ada, bob] = command.json("keys", "list")
    assert (ada["name"], ada["role"], ada["namespaces"], bob["namespaces"]) == ("ada", "read", [], ["shop"])
    assert ada["expires_at"] > ada["created_at"]
    assert key.split("_")[-1] not in str(ada)
    assert key.encode() not in (command.folder / "runs.db").read_bytes()
    base = f"http://127.0.0.1:{(port := free_port())}"
    command.environment["PYTHONUNBUFFERED"] = "1"
    server = command.begin("server", "--http", str(port), "--require-keys")
    try:
        assert server.stdout is not None
        assert "callers show keys" in server.stdout.readline()
        with httpx2.Client(base_url=base, timeout=20) as web:
            shown = {"Authorization": f"Bearer {key}"}
            assert web.get("/api/v1/runs").status_code == 401
            assert web.get("/api/v1/runs", headers=shown).status_code == 200
            assert web.post("/api/v1/runs", headers=shown, json={"type": "buy"}).status_code == 403
            assert [web.get("/metrics").status_code, web.get("/metrics", headers=shown).status_code] == [401, 200]
            assert web.get("/healthz").status_code == 200
            assert "counts no longer" in command("keys", "revoke", "ada").stdout
            command.until(lambda: web.get("/api/v1/runs", headers=shown).status_code == 401)
    finally:
        server.kill()
        server.wait()
    assert command("keys", "revoke", "ada").returncode == 2
    assert command.json("list") == []


def test_callbacks_are_taken_that_are_signed_with_a_secret_of_the_file(command: Command) -> None:
    secret = "whsec_" + base64.b64encode(bytes(range(32))).decode()
    (command.folder / "secrets").write_text(f"{secret}\n")
    refused = command("server", "--http", str(free_port()), "--callback-secrets", "missing")
    assert (refused.returncode, "cannot be read" in refused.stderr) == (2, True)
    base = f"http://127.0.0.1:{(port := free_port())}"
    command.environment["PYTHONUNBUFFERED"] = "1"
    server = command.begin("server", "--http", str(port), "--app", "app", "--callback-secrets", "secrets")
    try:
        assert server.stdout is not None
        assert base in server.stdout.readline()
        command("start", "wait_for_webhook", "--id", "w")
        command.until(lambda: bool(command.json("show", "w")["status_text"]))
        token, now = command.json("show", "w")["status_text"], str(int(time.time()))
        code = hmac.new(bytes(range(32)), f'm1.{now}."hello"'.encode(), hashlib.sha256).digest()
        signed = {"webhook-id": "m1", "webhook-timestamp": now, "webhook-signature": f"v1,{b64(code)}"}
        assert httpx2.post(f"{base}/callbacks/{token}", content='"hello"').status_code == 401
        assert httpx2.post(f"{base}/callbacks/{token}", content='"hello"', headers=signed).status_code == 200
        command.until(lambda: command.json("show", "w")["status"] == "completed")
    finally:
        server.kill()
        server.wait()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_who_is_logged_in_is_listed_and_logged_out(command: Command) -> None:
    key = command("keys", "create", "ada", "--role", "read", "--decode").stdout.strip()
    assert [each["decodes"] for each in command.json("keys", "list")] == [True]
    base = f"http://127.0.0.1:{(port := free_port())}"
    command.environment["PYTHONUNBUFFERED"] = "1"
    server = command.begin("server", "--http", str(port), "--require-keys")
    try:
        assert server.stdout is not None
        server.stdout.readline()
        with httpx2.Client(base_url=base, timeout=20) as web:
            assert web.post("/api/v1/session", json={"key": key}).status_code == 200
            assert web.get("/api/v1/runs").status_code == 200
            [session] = command.json("sessions", "list")
            assert (session["name"], "ada" in command("sessions", "list").stdout) == ("ada", True)
            assert "1 session" in command("sessions", "end", "ada").stdout
            assert web.get("/api/v1/runs").status_code == 401
    finally:
        server.kill()
        server.wait()
    gone = command("sessions", "end", "ada")
    assert (gone.returncode, "nobody is logged in" in gone.stderr) == (2, True)


def test_the_document_of_access_names_options_that_there_are() -> None:
    document = (Path(__file__).parents[2] / "docs" / "access.md").read_text()
    named = set(re.findall(r"--[a-z]+(?:-[a-z]+)*", document))
    there = {each for command in (server_command, keys_command.commands["create"]) for each in options_of(command)}
    assert named - there == set()
    assert {each for each in there if each.startswith(("--oidc", "--tls"))} - named == set()


def options_of(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts}
