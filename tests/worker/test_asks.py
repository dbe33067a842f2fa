"""Questions to runs, from the side of the worker that answers: whom it answers, when it does not, and in what words."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

import keepstep
from keepstep import Blocked, Engine, InvalidInput, RunClosed, RunHandle, UpdateRejected, workflow
from keepstep.journal import Commit, Condition, NewMessage
from keepstep.runtime.data import encode_failure
from keepstep.worker import asks, updating
from keepstep.worker.inbox import StepAnswer
from keepstep.worker.reply import QUERY, UPDATE, Reply, ReplyKind, UpdateRequest, encode_request
from tests.runtime.crashing import World
from tests.runtime.programs import on_an_engine


@workflow
class CashBox:
    """Counts money until it is closed, and takes its time over locking up."""

    def __init__(self) -> None:
        self.coins: list[int] = []
        self.closed = asyncio.Event()

    async def run(self) -> int:
        await self.closed.wait()
        return sum(self.coins)

    @keepstep.signal
    async def close(self) -> None:
        self.closed.set()
        await keepstep.sleep("1h")

    @keepstep.query
    def total(self) -> int:
        return sum(self.coins)

    @keepstep.update
    def put(self, coin: int) -> int:
        self.coins.append(coin)
        return len(self.coins)

    @put.validator
    def check_put(self, coin: int) -> None:
        if coin == 0:
            self.closed.set()  # which it must not: it only looks
        if coin < 0:
            raise ValueError("no debts")


async def open_cash_box(engine: Engine) -> RunHandle[int]:
    handle = await engine.start(CashBox, id="cash-box")
    assert await handle.update("put", 5) == 1
    return handle


async def put_to_sleep(engine: Engine, handle: RunHandle[Any]) -> None:
    assert engine.worker is not None
    assert handle.run_id is not None
    if handle.run_id in engine.worker.residents:
        engine.worker.residents[handle.run_id].release()
    while (await engine.journal.load(handle.run_id)).run.owner is not None:
        await asyncio.sleep(0.1)


async def ask_worker(engine: Engine, handle: RunHandle[Any], kind: str, name: str, data: bytes = b"[]") -> Reply:
    """What the engine's own worker says."""
    assert engine.worker is not None
    assert handle.run_id is not None
    return await engine.worker.asks.reply(handle.run_id, kind, name, data)


def an_update(coin: int, id: str = "u") -> bytes:
    return encode_request(UpdateRequest(id, f"[{coin}]".encode()))


def test_more_questions_than_are_answered_at_once_are_answered_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asks, "ANSWERED_AT_ONCE_MAX", 2)

    async def main() -> list[int]:
        world = World()
        handle = await open_cash_box(await world.open())
        client = await world.open(workers=False)
        assert handle.run_id is not None
        totals = await asyncio.gather(*(client.get("cash-box", handle.run_id).query("total") for _ in range(9)))
        await world.close()
        return totals

    assert keepstep.testing.run(main) == [5] * 9


def test_a_question_of_an_unknown_kind_or_name_is_the_askers_error() -> None:
    async def program(engine: Engine) -> None:
        handle = await open_cash_box(engine)
        for kind, name, words in (
            ("telepathy", "total", "does not know asks of kind 'telepathy'"),
            (QUERY, "change", "has no query 'change'; it has: total"),
        ):
            reply = await ask_worker(engine, handle, kind, name)
            assert (reply.kind, words in reply.text) == (ReplyKind.INVALID, True), reply.text
        reply = await ask_worker(engine, handle, UPDATE, "take", an_update(1))
        assert (reply.kind, "has no update 'take'; it has: put" in reply.text) == (ReplyKind.INVALID, True), reply.text

    on_an_engine(program)


def test_a_worker_that_cannot_answer_for_a_sleeping_run_leaves_it_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async def program(engine: Engine) -> None:
        handle = await open_cash_box(engine)
        await put_to_sleep(engine, handle)
        assert engine.worker is not None
        with monkeypatch.context() as patch:
            patch.setattr(engine.worker.served, "find", lambda *_: None)
            reply = await ask_worker(engine, handle, QUERY, "total")
            assert (reply.kind, reply.text) == (ReplyKind.AGAIN, "the worker that was asked has no workflow 'CashBox'")
        with monkeypatch.context() as patch:
            patch.setattr(asks, "FORMAT", -1)
            reply = await ask_worker(engine, handle, QUERY, "total")
            assert (reply.kind, "of a newer version of Keepstep" in reply.text) == (ReplyKind.AGAIN, True)
        assert await handle.query("total") == 5

    on_an_engine(program)


def test_a_run_in_quarantine_is_not_run_to_be_asked() -> None:
    async def program(engine: Engine) -> None:
        handle = await open_cash_box(engine)
        await put_to_sleep(engine, handle)
        assert handle.run_id is not None
        run = (await engine.journal.load(handle.run_id)).run
        quarantined = Commit(run_id=run.run_id, version=run.version, condition=Condition.QUARANTINED)
        await engine.journal.commit(quarantined)
        with pytest.raises(Blocked, match="workers that ran its code have died"):
            await handle.query("total")

    on_an_engine(program)


def test_a_sleeping_run_whose_function_has_ended_takes_no_updates() -> None:
    async def program(engine: Engine) -> None:
        handle = await open_cash_box(engine)
        await handle.signal("close")
        while not (await handle.describe()).waiting_for:
            await asyncio.sleep(0.1)
        await asyncio.sleep(5)
        await put_to_sleep(engine, handle)
        with pytest.raises(RunClosed, match="the run's function has ended"):
            await handle.update("put", 1)
        assert await handle.query("total") == 5

    on_an_engine(program)


def test_callers_that_wait_for_updates_of_one_run_are_not_without_number(monkeypatch: pytest.MonkeyPatch) -> None:
    async def program(engine: Engine) -> None:
        handle = await open_cash_box(engine)
        first = asyncio.ensure_future(ask_worker(engine, handle, UPDATE, "put", an_update(1)))
        while not updating_of(engine, handle)._callers:
            await asyncio.sleep(0)
        with monkeypatch.context() as patch:
            patch.setattr(updating, "WAITING_MAX", 1)
            reply = await ask_worker(engine, handle, UPDATE, "put", an_update(2, "v"))
        assert (reply.kind, reply.text) == (ReplyKind.AGAIN, "1 callers wait for updates of this run")
        assert (await first).kind is ReplyKind.VALUE
        assert await handle.update("put", 2, id="v") == 3

    on_an_engine(program)


def updating_of(engine: Engine, handle: RunHandle[Any]) -> updating.Updating:
    assert engine.worker is not None
    assert handle.run_id is not None
    return engine.worker.residents[handle.run_id].updating


def test_a_validator_that_sets_something_going_is_told_so_and_leaves_the_run_as_it_was() -> None:
    async def program(engine: Engine) -> None:
        handle = await open_cash_box(engine)
        for _ in range(2):
            with pytest.raises(InvalidInput, match="has set something of the run going"):
                await handle.update("put", 0)
            await put_to_sleep(engine, handle)
        with pytest.raises(UpdateRejected, match="no debts"):
            await handle.update("put", -1)
        assert await handle.update("put", 1) == 2

    on_an_engine(program)


def test_an_update_that_comes_with_a_start_must_not_set_anything_going_either() -> None:
    async def program(engine: Engine) -> None:
        with pytest.raises(InvalidInput, match="has set something of the run going"):
            await engine.update_with_start(CashBox, id="cash-box", update="put", update_args=[0], update_id="u")
        handle = engine.get("cash-box")
        assert await handle.update("put", 7) == 1
        assert await handle.query("total") == 7

    on_an_engine(program)


def test_what_is_said_about_a_step_that_waits_for_nobody_changes_nothing() -> None:
    """Two operators may say the same; and whoever writes messages by hand may say anything."""

    async def program(engine: Engine) -> None:
        handle = await open_cash_box(engine)
        assert handle.run_id is not None
        await handle.signal("close")
        said = msgspec.msgpack.encode(StepAnswer(False, encode_failure_of("it is said"), by="resolve"))
        for kind, name in (("resolve", "close()/sleep"), ("retry", "")):
            await engine.journal.send(NewMessage(run_id=handle.run_id, kind=kind, name=name, data=said))
        assert await handle.result(timeout="2h") == 5
        assert await engine.journal.read_messages(handle.run_id) == []

    on_an_engine(program)


def encode_failure_of(words: str) -> bytes:
    return encode_failure(keepstep.runtime.data.describe(ValueError(words)))
