"""Webhooks that must be signed: with the right secret, in time, and for the callback that they came for first."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from keepstep import Engine
from keepstep.journal import ClockAnchor, InvalidInput
from keepstep.server import signing
from keepstep.server.callbacks import callback_app
from keepstep.server.signing import Signatures, Unsigned, read_secrets
from tests.server.test_callbacks import token_of, wait_for_payment

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(bytes(range(32))).decode()


class Time:
    """A clock that stands where it is put."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def now(self) -> int:
        return round(self.seconds * 1e6)

    def monotonic(self) -> float:
        return self.seconds

    def jump(self) -> int:
        return 0

    def anchor(self) -> ClockAnchor:
        raise AssertionError

    def adopt(self, anchor: ClockAnchor) -> None:
        raise AssertionError


def signed(
    body: bytes, timestamp: int = 1614265330, id: str = "msg_1", secret: str = SECRET, version: str = "v1"
) -> dict[str, str]:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    code = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    signature = f"{version},{base64.b64encode(code).decode()}"
    return {"webhook-id": id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}


def test_the_published_example_is_right() -> None:
    """Of Svix, who have published the scheme before it became a standard, and of the standard's libraries."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    signatures = Signatures([SECRET], Time(1614265330))
    signatures.check(headers, b'{"test": 2432232314}', "token")
    with pytest.raises(Unsigned, match="none of the signatures is right"):
        signatures.check(headers, b'{"test": 2432232315}', "token")


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({}, "callbacks are signed here"),
        ({**signed(b"1"), "webhook-id": ""}, "callbacks are signed here"),
        ({**signed(b"1"), "webhook-id": "msg_2"}, "none of the signatures"),
        ({**signed(b"1"), "webhook-timestamp": "1614265331"}, "none of the signatures"),
        ({**signed(b"1"), "webhook-timestamp": "-1"}, "number of seconds"),
        ({**signed(b"1"), "webhook-timestamp": "٣"}, "number of seconds"),
        ({**signed(b"1"), "webhook-timestamp": "9" * 30}, "number of seconds"),
        (signed(b"1", id="a.b"), "no full stop"),
        (signed(b"1", id="x" * 300), "up to 256"),
        (signed(b"2"), "none of the signatures"),
        (signed(b"1", secret=OTHER), "none of the signatures"),
        (signed(b"1", version="v1a"), "none of the signatures"),
        ({**signed(b"1"), "webhook-signature": "v1,"}, "none of the signatures"),
        ({**signed(b"1"), "webhook-signature": "v1,%%%"}, "none of the signatures"),
        ({**signed(b"1"), "webhook-signature": "v1"}, "none of the signatures"),
        (signed(b"1", 1614265330 - 301), "more than 300 s from now"),
        (signed(b"1", 1614265330 + 301), "more than 300 s from now"),
    ],
)
def test_what_is_not_signed_wrongly_signed_or_not_of_now_is_not_taken(headers: dict[str, str], why: str) -> None:
    with pytest.raises(Unsigned, match=why) as caught:
        Signatures([SECRET], Time(1614265330)).check(headers, b"1", "token")
    assert caught.value.status == 401


def test_secrets_are_changed_without_a_gap() -> None:
    both = Signatures([SECRET, OTHER], Time(1614265330))
    for n, secret in enumerate((SECRET, OTHER)):
        both.check(signed(b"1", id=f"m{n}", secret=secret), b"1", "token")
    twice = signed(b"1", id="m3", secret=OTHER)
    twice["webhook-signature"] = "v1a,xyz " + signed(b"1", id="m3")["webhook-signature"] + " v1,AAAA"
    Signatures([SECRET], Time(1614265330)).check(twice, b"1", "token")


def test_a_webhook_may_come_again_for_its_callback_and_never_for_another() -> None:
    time = Time(1614265330)
    signatures = Signatures([SECRET], time)
    signatures.check(signed(b"1"), b"1", "mine")
    signatures.check(signed(b"1"), b"1", "mine")
    with pytest.raises(Unsigned, match="for another callback") as caught:
        signatures.check(signed(b"1"), b"1", "other")
    assert caught.value.status == 409
    time.seconds += 299  # it still holds, and is still known
    with pytest.raises(Unsigned, match="for another callback"):
        signatures.check(signed(b"1"), b"1", "other")
    time.seconds += 700
    with pytest.raises(Unsigned, match="from now"):
        signatures.check(signed(b"1"), b"1", "other")
    signatures.check(signed(b"1", round(time.seconds)), b"1", "other")  # another one, by who knows the secret


def test_more_ids_than_can_be_remembered_are_asked_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "IDS_MAX", 3)
    time = Time(1614265330)
    signatures = Signatures([SECRET], time)
    for n in range(3):
        signatures.check(signed(b"1", id=f"m{n}"), b"1", "t")
    with pytest.raises(Unsigned, match="try again") as caught:
        signatures.check(signed(b"1", id="m4"), b"1", "t")
    assert caught.value.status == 503
    signatures.check(signed(b"1", id="m0"), b"1", "t")
    time.seconds += 601
    signatures.check(signed(b"1", round(time.seconds), id="m4"), b"1", "t")


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_%%%%" * 9])
def test_what_is_no_secret_is_refused_and_not_shown(secret: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="callback secret 2") as caught:
        Signatures([SECRET, secret], Time(0))
    assert len(secret) < 8 or secret not in str(caught.value)
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(InvalidInput, match="no callback secret"):
        read_secrets(str(tmp_path / "empty"))
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_secrets(str(tmp_path / "missing"))
    assert read_secrets(None, {}) == []
    assert read_secrets(None, {"KEEPSTEP_CALLBACK_SECRETS": f"{SECRET} {OTHER}"}) == [SECRET, OTHER]


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    async with Engine("memory:") as engine:
        yield engine


async def test_a_callback_is_completed_by_a_signed_webhook_alone(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "keepstep.server")
    app = callback_app(engine, signatures=Signatures([SECRET], engine.journal.clock))
    run: Any = await engine.start(wait_for_payment)
    url, body, now = f"/callbacks/{await token_of(run)}", b'{"paid": 7}', engine.journal.clock.now() // 1_000_000
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://keepstep") as web:
        for headers in ({}, signed(b"{}", now), signed(body, now - 400), signed(body, now, secret=OTHER)):
            refused = await web.post(url, content=body, headers=headers)
            assert (refused.status_code, refused.json()["completed"]) == (401, False)
        assert (await run.describe()).status == "running"
        for _ in range(2):
            assert (await web.post(url, content=body, headers=signed(body, now))).status_code == 200
        other: Any = await engine.start(wait_for_payment)
        replayed = await web.post(f"/callbacks/{await token_of(other)}", content=body, headers=signed(body, now))
        assert replayed.status_code == 409
    assert await run.result() == {"paid": 7}
    assert (await other.describe()).status == "running"
    assert "not taken" in caplog.text
