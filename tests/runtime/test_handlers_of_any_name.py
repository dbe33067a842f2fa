"""A handler named "*" gets what is said by names that nobody else handles, in its place and as often as any handler."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

import keepstep
from keepstep import Engine, InvalidInput, RunClosed, UpdateRejected, step, workflow
from tests.runtime.crashing import crash_at_every_commit
from tests.runtime.programs import on_an_engine


@step
async def note_down(what: str) -> str:
    return f"noted {what}"


@workflow
class Secretary:
    """Takes down whatever is said."""

    def __init__(self) -> None:
        self.noted: list[str] = []
        self.is_over = False

    async def run(self) -> list[str]:
        await keepstep.wait_for(lambda: self.is_over)
        return self.noted

    @keepstep.signal
    def leave(self) -> None:
        self.is_over = True

    @keepstep.signal(name="*")
    async def hear(self, name: str, value: int) -> None:
        self.noted.append(await note_down(f"{name} {value + 1}"))

    @keepstep.update
    async def known(self) -> str:
        return "known"

    @keepstep.update(name="*")
    async def do(self, name: str, *words: str, loud: bool = False) -> str:
        said = await note_down(f"{name}: {' '.join(words)}{'!' if loud else ''}")
        self.noted.append(said)
        return said

    @do.validator
    def check_do(self, name: str, *words: str, loud: bool = False) -> None:
        if name == "shout" and not loud:
            raise ValueError("nobody shouts in a low voice")

    @keepstep.query(name="*")
    def look_up(self, name: str, prefix: str = "") -> list[str]:
        return [name, *(each for each in self.noted if each.startswith(prefix))]


def test_what_nobody_else_handles_is_handled_once_whatever_commit_a_process_dies_at() -> None:
    async def program(engine: Engine) -> Any:
        handle = await engine.start(Secretary, id="s")
        said = [
            await handle.update("call", "the", "bank", loud=True, id="u1"),
            await handle.update(Secretary.known, id="u2"),
        ]
        with suppress(RunClosed):  # it is over, and was told all of it before the crash
            await handle.signal("rain", 6, id="s1")
            await handle.signal(Secretary.leave, id="s2")
        noted = await handle.result()
        keys = [event.key async for event in handle.history() if event.type == "step_completed"]
        return said, noted, keys, await handle.query("what", prefix="noted r")

    def check(seen: Any, crashes: int) -> None:
        said, noted, keys, found = seen
        assert said == ["noted call: the bank!", "known"]
        assert noted == ["noted call: the bank!", "noted rain 7"]
        assert keys == ["update call()/note_down", "signal rain()/note_down"]
        assert found == ["what", "noted rain 7"]

    assert crash_at_every_commit(program, check) >= 10


def test_values_that_do_not_fit_are_the_callers_errors_and_validators_hear_the_name() -> None:
    async def program(engine: Engine) -> None:
        handle = await engine.start(Secretary, id="s")
        with pytest.raises(UpdateRejected, match=r"update 'shout' of run 's' was rejected: .*low voice"):
            await handle.update("shout", "hey")
        with pytest.raises(InvalidInput, match="argument 'words'"):
            await handle.update("call", 3)
        with pytest.raises(InvalidInput, match="too many positional arguments"):
            await handle.query("what", "a", "b")
        with pytest.raises(InvalidInput, match=r"Secretary\.do handles updates of any name; say the name as text"):
            await handle.update(Secretary.do, "call")
        await handle.signal("rain", "not a number")
        await handle.signal(Secretary.leave)
        assert await handle.result() == []

    on_an_engine(program)


def test_a_client_without_the_code_may_say_any_name_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    async def program(engine: Engine) -> None:
        handle = await engine.start(Secretary, id="s")
        monkeypatch.setattr("keepstep.client.question.find_code", lambda *_: None)
        assert await handle.update("call", "home") == "noted call: home"
        assert await handle.query("what") == ["what", "noted call: home"]
        with pytest.raises(InvalidInput, match="expected"):
            await handle.update("call", 3)

    on_an_engine(program)


def test_a_class_that_handles_any_signal_has_none_left_to_receive() -> None:
    @workflow
    class ReceivesInVain:
        async def run(self) -> str:
            return await keepstep.receive("picked", str)

        @keepstep.signal(name="*")
        def hear(self, name: str) -> None: ...

    async def program(engine: Engine) -> None:
        with pytest.raises(keepstep.WorkflowFailed, match="none is left to receive"):
            await engine.run(ReceivesInVain)

    on_an_engine(program)


def test_a_handler_of_any_name_must_take_it() -> None:
    class Nameless:
        async def run(self) -> None: ...

        @keepstep.query(name="*")
        def look(self) -> int:
            return 1

    with pytest.raises(InvalidInput, match=r"Nameless.look handles every query .* def look\(self, name: str, ...\)"):
        workflow(Nameless)


def test_signals_without_such_a_handler_are_kept_as_before() -> None:
    @workflow
    class KeepsSignals:
        async def run(self) -> str:
            await asyncio.sleep(0)
            return await keepstep.receive("picked", str)

    async def program(engine: Engine) -> None:
        handle = await engine.start(KeepsSignals, id="k")
        await handle.signal("picked", "yes")
        assert await handle.result() == "yes"
        with pytest.raises(InvalidInput, match="has no query 'what'; it has none"):
            await handle.query("what")

    on_an_engine(program)
