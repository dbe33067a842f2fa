"""The future of a commit, and the one who hears of it first."""

from __future__ import annotations

import asyncio

import pytest

from keepstep.journal import Committed, Conflict, Promise

OUTCOME = Committed(1, 1, 1)


def promise() -> Promise:
    return Promise(loop=asyncio.get_running_loop())


async def test_who_listens_hears_within_the_stores_own_turn() -> None:
    made, heard = promise(), list[Promise]()
    made.heard = heard.append
    made.settle(OUTCOME, None)
    assert heard == [made]
    assert await made == OUTCOME


async def test_a_promise_is_settled_once() -> None:
    made = promise()
    made.settle(OUTCOME, None)
    made.settle(None, Conflict("too late"))
    assert await made == OUTCOME


async def test_a_refusal_is_raised_where_it_is_awaited() -> None:
    made = promise()
    made.settle(None, Conflict("refused"))
    with pytest.raises(Conflict, match="refused"):
        await made


async def test_a_listener_that_fails_spoils_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Promise) -> None:
        raise ValueError("cannot hear")

    made = promise()
    made.heard = fail
    made.settle(OUTCOME, None)
    assert await made == OUTCOME
    assert "a listener of a commit failed" in caplog.text
