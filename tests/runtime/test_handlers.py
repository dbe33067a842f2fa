"""Class workflows: signals, queries and updates, in virtual time."""

from __future__ import annotations

import asyncio
import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import keepstep
from keepstep import (
    Blocked,
    Cancelled,
    Engine,
    InvalidInput,
    NoWorker,
    QueryFailed,
    RunClosed,
    RunHandle,
    TimedOut,
    UpdateFailed,
    UpdateRejected,
    WorkflowFailed,
    step,
    workflow,
)
from keepstep.journal import Commit, NewMessage, Promise
from keepstep.runtime.registry import definition_of, forget
from keepstep.worker.reply import UpdateRequest
from tests.runtime.crashing import CrashingJournal
from tests.runtime.programs import on_an_engine


@dataclass
class Item:
    name: str
    price: int


@step
async def look_up_price(name: str) -> int:
    return len(name)


@workflow
class Cart:
    """Collects items until it is checked out."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.notes: list[str] = []
        self.is_checked_out = False

    async def run(self, customer: str) -> int:
        await keepstep.wait_for(lambda: self.is_checked_out)
        await look_up_price(customer)
        return sum(item.price for item in self.items)

    @keepstep.signal
    def note(self, text: str) -> None:
        self.notes.append(text)

    @keepstep.signal
    async def note_slowly(self, text: str) -> None:
        await keepstep.sleep(60)
        self.notes.append(text)

    @keepstep.signal
    def check_out(self) -> None:
        self.is_checked_out = True

    @keepstep.query
    def total(self) -> int:
        return sum(item.price for item in self.items)

    @keepstep.query(name="items")
    def items_that_cost(self, at_least: int = 0) -> list[Item]:
        return [item for item in self.items if item.price >= at_least]

    @keepstep.query
    def notes_so_far(self) -> list[str]:
        return self.notes

    @keepstep.query
    def misbehave(self, how: str) -> Any:
        if how == "step":
            return look_up_price("x")
        if how == "signal":
            return keepstep.random().random()
        if how == "status":
            keepstep.set_status("a query was here")
        if how == "task":
            return asyncio.create_task(asyncio.sleep(1))
        if how == "sleep":
            return keepstep.sleep(1).send(None)
        raise ZeroDivisionError(how)

    @keepstep.update
    async def add(self, name: str, times: int = 1) -> Item:
        item = Item(name, times * await look_up_price(name))
        self.items.append(item)
        return item

    @add.validator
    def check_add(self, name: str, times: int = 1) -> None:
        if any(item.name == name for item in self.items):
            raise ValueError(f"there is a {name} already")

    @keepstep.update
    def remove(self, name: str) -> int:
        for n, item in enumerate(self.items):
            if item.name == name:
                return self.items.pop(n).price
        raise LookupError(f"there is no {name}")


async def history_of(handle: RunHandle[Any]) -> list[str]:
    return [event.type async for event in handle.history()]


def test_a_class_outside_of_a_workflow_is_the_class_that_it_is() -> None:
    cart = Cart()
    cart.note("a")
    cart.items.append(Item("pot", 3))
    assert (cart.notes, cart.total(), cart.remove("pot")) == (["a"], 3, 3)
    assert repr(Cart.add) == "<update add>"
    assert definition_of(Cart) is not None
    assert repr(definition_of(Cart)) == "<workflow Cart>"


def test_signals_queries_and_updates_reach_the_run() -> None:
    async def program(engine: Engine) -> None:
        handle = await engine.start(Cart, "ann", id="cart")
        await handle.signal("note", "first")
        await handle.signal(Cart.note, "second")
        assert await handle.query("notes_so_far") == ["first", "second"]
        assert await handle.update("add", "tea") == Item("tea", 3)
        assert await handle.update(Cart.add, "coffee", times=2) == Item("coffee", 12)
        assert await handle.query(Cart.total) == 15
        assert await handle.query("items", at_least=10) == [Item("coffee", 12)]
        assert await handle.update(Cart.remove, "tea") == 3
        await engine.signal("cart", Cart.check_out)
        assert await handle.result() == 12

    on_an_engine(program)


def test_a_query_leaves_nothing_behind() -> None:
    async def program(engine: Engine) -> None:
        handle = await engine.start(Cart, "ann", id="quiet-cart")
        await handle.update(Cart.add, "tea")
        assert handle.run_id is not None
        await asyncio.sleep(2)
        before = await engine.journal.load(handle.run_id)
        for _ in range(3):
            assert await handle.query(Cart.total) == 3
        with pytest.raises(QueryFailed):
            await handle.query(Cart.misbehave, "raise")
        await asyncio.sleep(2)
        assert await engine.journal.load(handle.run_id) == before

    on_an_engine(program)


def test_a_query_must_not_do_anything_durable() -> None:
    async def program(engine: Engine) -> None:
        handle = await engine.start(Cart, "ann", id="badly-asked-cart")
        for how, what in (
            ("step", "a step or a child workflow"),
            ("signal", "random"),
            ("status", "set_status"),
            ("task", "asyncio.create_task"),
            ("sleep", "sleep"),
        ):
            with pytest.raises(QueryFailed, match=f"must not use {what}"):
                await handle.query("misbehave", how)
        with pytest.raises(QueryFailed, match="ZeroDivisionError: raise") as failed:
            await handle.query("misbehave", "raise")
        assert isinstance(failed.value.__cause__, ZeroDivisionError)
        assert await handle.update(Cart.add, "tea") == Item("tea", 3)

    on_an_engine(program)


def test_a_query_that_sets_something_going_is_told_so_and_the_run_is_as_before() -> None:
    @workflow
    class Pushed:
        def __init__(self) -> None:
            self.event = asyncio.Event()

        async def run(self) -> str:
            await self.event.wait()
            return "set"

        @keepstep.query
        def push(self) -> None:
            self.event.set()

        @keepstep.query
        def is_set(self) -> bool:
            return self.event.is_set()

        @keepstep.signal
        def go(self) -> None:
            self.event.set()

    async def program(engine: Engine) -> None:
        handle = await engine.start(Pushed, id="pushed")
        with pytest.raises(InvalidInput, match=r"Pushed\.push has set something of the run going"):
            await handle.query("push")
        assert await handle.query("is_set") is False
        await handle.signal("go")
        assert await handle.result() == "set"

    on_an_engine(program)


def test_names_and_arguments_that_do_not_fit_are_the_callers_errors() -> None:
    async def program(engine: Engine) -> None:
        handle = await engine.start(Cart, "ann", id="strict-cart")
        with pytest.raises(InvalidInput, match=r"has no query 'sum'; it has: items, misbehave, notes_so_far, total"):
            await handle.query("sum")
        with pytest.raises(InvalidInput, match=r"argument 'times'"):
            await handle.update("add", "tea", times="many")
        with pytest.raises(InvalidInput, match="missing a required argument"):
            await handle.update(Cart.add)
        with pytest.raises(InvalidInput, match="is no update"):
            await handle.update(Cart.total)  # type: ignore[call-overload]
        with pytest.raises(InvalidInput, match="carries no value"):
            await handle.signal(Cart.check_out, 5)
        with pytest.raises(InvalidInput, match="signal 'note'"):
            await handle.signal(Cart.note, 5)
        assert await history_of(handle) == ["workflow_started"]

    on_an_engine(program)


def test_a_rejected_update_leaves_no_history() -> None:
    async def program(engine: Engine) -> None:
        handle = await engine.start(Cart, "ann", id="picky-cart")
        await handle.update("add", "tea")
        assert handle.run_id is not None
        before = await engine.journal.load(handle.run_id)
        with pytest.raises(UpdateRejected, match="there is a tea already") as rejected:
            await handle.update("add", "tea", id="again")
        assert isinstance(rejected.value.__cause__, ValueError)
        assert await engine.journal.load(handle.run_id) == before
        await handle.update("remove", "tea")
        assert await handle.update("add", "tea", id="again") == Item("tea", 3)  # it was not remembered

    on_an_engine(program)


def test_of_two_updates_at_once_the_validator_of_the_second_sees_what_the_first_did() -> None:
    @workflow
    class OneSeat:
        def __init__(self) -> None:
            self.taken_by = ""

        async def run(self) -> str:
            await keepstep.wait_for(lambda: self.taken_by != "")
            await keepstep.sleep(1)
            return self.taken_by

        @keepstep.update
        def take(self, who: str) -> str:
            self.taken_by = who
            return who

        @take.validator
        def check(self, who: str) -> None:
            if self.taken_by:
                raise ValueError(f"taken by {self.taken_by}")

    async def program(engine: Engine) -> None:
        handle = await engine.start(OneSeat, id="seat")
        told = await asyncio.gather(*(handle.update("take", f"guest {n}") for n in range(5)), return_exceptions=True)
        assert told[0] == "guest 0"
        assert all(isinstance(each, UpdateRejected) for each in told[1:])
        assert await handle.result() == "guest 0"

    on_an_engine(program)


def test_an_update_whose_handler_fails_says_so_and_the_run_goes_on() -> None:
    async def program(engine: Engine) -> None:
        handle = await engine.start(Cart, "ann", id="lost-cart")
        for _ in range(2):
            with pytest.raises(UpdateFailed, match="there is no tea") as failed:
                await handle.update("remove", "tea", id="once")
            assert isinstance(failed.value.__cause__, LookupError)
        assert await history_of(handle) == ["workflow_started", "update_accepted", "update_failed"]
        await handle.signal("check_out")
        assert await handle.result() == 0

    on_an_engine(program)


def test_an_update_of_one_id_is_done_once_and_answers_again_even_when_the_run_is_closed() -> None:
    async def program(engine: Engine) -> None:
        handle = await engine.start(Cart, "ann", id="one-cart")
        both = await asyncio.gather(*(handle.update("add", "tea", id="u1") for _ in range(3)))
        assert both == [Item("tea", 3)] * 3
        await handle.signal("check_out")
        assert await handle.result() == 3
        assert await handle.update("add", "tea", id="u1") == Item("tea", 3)
        with pytest.raises(
            RunClosed, match=r"update 'add' of run 'one-cart' has no result: it was not accepted.*completed"
        ):
            await handle.update("add", "tea", id="u2")
        assert (await history_of(handle)).count("update_accepted") == 1

    on_an_engine(program)


def test_runs_asleep_and_closed_runs_answer_queries_without_waking() -> None:
    async def program(engine: Engine) -> None:
        handle = await engine.start(Cart, "ann", id="sleepy-cart")
        await handle.update("add", "tea")
        assert handle.run_id is not None
        assert engine.worker is not None
        engine.worker.residents[handle.run_id].release()
        await asyncio.sleep(1)
        before = await engine.journal.load(handle.run_id)
        assert before.run.owner is None
        assert await handle.query("total") == 3
        assert await engine.journal.load(handle.run_id) == before
        with pytest.raises(UpdateRejected):
            await handle.update("add", "tea")
        assert await engine.journal.load(handle.run_id) == before
        assert await handle.update("add", "coffee") == Item("coffee", 6)  # this one wakes it
        await handle.signal("check_out")
        assert await handle.result() == 9
        closed = await engine.journal.load(handle.run_id)
        assert await handle.query("total") == 9
        assert await engine.journal.load(handle.run_id) == closed

    on_an_engine(program)


def test_a_run_waits_for_its_handlers_before_it_completes() -> None:
    async def program(engine: Engine) -> None:
        handle = await engine.start(Cart, "ann", id="patient-cart")
        await handle.signal("note_slowly", "slow")
        await handle.signal("check_out")
        await asyncio.sleep(5)
        info = await handle.describe()
        assert [(each.kind, each.name) for each in info.waiting_for] == [("timer", ""), ("handler", "note_slowly")]
        with pytest.raises(RunClosed, match="the run's function has ended"):
            await handle.update("add", "too late")
        await handle.result()
        assert await handle.query("notes_so_far") == ["slow"]

    on_an_engine(program)


def test_a_cancelled_run_ends_its_handlers_and_their_callers_are_told() -> None:
    @workflow
    class Slow:
        async def run(self) -> None:
            await keepstep.sleep("30d")

        @keepstep.update
        async def wait(self) -> None:
            try:
                await keepstep.sleep("1d")
            finally:
                await look_up_price("cleaning up")

    async def program(engine: Engine) -> None:
        handle = await engine.start(Slow, id="slow")
        waiting = asyncio.ensure_future(handle.update("wait", id="w"))
        await asyncio.sleep(10)
        await handle.cancel()
        with pytest.raises(UpdateFailed, match="the run ended before update 'wait' was through"):
            await waiting
        with pytest.raises(Cancelled):
            await handle.result()
        with pytest.raises(UpdateFailed, match="the run ended before"):
            await handle.update("wait", id="w")
        assert "step_completed" in await history_of(handle)

    on_an_engine(program)


def test_a_signal_handler_that_raises_fails_the_run() -> None:
    @workflow
    class Fragile:
        async def run(self) -> None:
            await keepstep.sleep("30d")

        @keepstep.signal
        def touch(self) -> None:
            raise RuntimeError("broken")

    async def program(engine: Engine) -> None:
        handle = await engine.start(Fragile, id="fragile")
        await handle.signal("touch")
        with pytest.raises(WorkflowFailed, match="RuntimeError: broken"):
            await handle.result()

    on_an_engine(program)


def test_handlers_and_the_function_ask_for_steps_without_disturbing_each_others_keys() -> None:
    @workflow
    class Busy:
        async def run(self) -> int:
            total = await look_up_price("a")
            await keepstep.sleep(10)
            return total + await look_up_price("ab")

        @keepstep.signal
        async def poke(self) -> None:
            await look_up_price("poked")

        @keepstep.update
        async def ask(self) -> int:
            return await look_up_price("asked")

    async def program(engine: Engine) -> list[str]:
        handle = await engine.start(Busy, id="busy")
        await handle.signal("poke")
        await handle.signal("poke")
        assert await handle.update("ask") == 5
        assert await handle.result() == 3
        return sorted([str(event.key) async for event in handle.history() if event.type == "step_completed"])

    assert on_an_engine(program) == [
        "look_up_price", "look_up_price#2", "signal poke()#2/look_up_price", "signal poke()/look_up_price",
        "update ask()/look_up_price",
    ]  # fmt: skip


def test_unknown_signals_are_kept_for_who_receives_them_and_for_code_that_comes() -> None:
    @workflow
    class Receiving:
        def __init__(self) -> None:
            self.told: list[str] = []

        async def run(self) -> list[str]:
            self.told.append(await keepstep.receive("spoken", str, timeout="1h"))
            with pytest.raises(InvalidInput, match="signals 'note' go to the handler"):
                await keepstep.receive("note", str)
            with pytest.raises(TimedOut):
                await keepstep.receive("never", timeout=1)
            return self.told

        @keepstep.signal
        def note(self, text: str) -> None:
            self.told.append(text)

    async def program(engine: Engine) -> list[str]:
        handle = await engine.start(Receiving, id="receiving")
        await handle.signal("unknown", 1)
        await handle.signal("note", "noted")
        await handle.signal("note", 5)  # does not fit: told in the log
        await handle.signal("spoken", "received")
        return await handle.result()

    assert on_an_engine(program) == ["noted", "received"]


def test_a_class_may_take_the_arguments_of_run() -> None:
    @workflow
    class Counter:
        def __init__(self, start: int) -> None:
            self.value = start

        async def run(self, start: int) -> int:
            await keepstep.wait_for(lambda: self.value > start + 1)
            return self.value

        @keepstep.signal
        def add(self, by: int) -> None:
            self.value += by

    @workflow
    class Unlucky:
        def __init__(self) -> None:
            raise ValueError("no instance")

        async def run(self) -> None: ...

    async def program(engine: Engine) -> int:
        handle = await engine.start(Counter, 5, id="counter")
        await handle.signal("add", 3)
        unlucky = await engine.start(Unlucky, id="unlucky")
        with pytest.raises(WorkflowFailed, match="no instance"):
            await unlucky.result()
        return await handle.result()

    assert on_an_engine(program) == 8


def test_what_a_class_workflow_must_not_be_is_refused_where_it_is_decorated() -> None:
    with pytest.raises(InvalidInput, match=r"needs a method: async def run"):

        @workflow
        class NoRun:
            pass

    with pytest.raises(InvalidInput, match="takes 2 parameters, and a signal carries one value"):

        @workflow
        class TwoValues:
            async def run(self) -> None: ...

            @keepstep.signal
            def both(self, a: int, b: int) -> None: ...

    with pytest.raises(InvalidInput, match=r"__init__ must take what run takes"):

        @workflow
        class OtherArguments:
            def __init__(self, other: int) -> None: ...

            async def run(self, one: int) -> None: ...

    with pytest.raises(InvalidInput, match="has two handlers for the query 'one'"):

        @workflow
        class Twice:
            async def run(self) -> None: ...

            @keepstep.query
            def one(self) -> None: ...

            @keepstep.query(name="one")
            def other(self) -> None: ...

    with pytest.raises(InvalidInput, match="query 'late' is async"):

        @keepstep.query
        async def late(self: object) -> None: ...

    with pytest.raises(InvalidInput, match=r"@keepstep.signal goes on a method, not on <class"):

        @keepstep.signal  # type: ignore[arg-type]
        class NoMethod: ...

    with pytest.raises(InvalidInput, match="the validator of update 'change' is async"):

        @keepstep.update
        def change(self: object) -> None: ...

        @change.validator
        async def check_change(self: object) -> None: ...


def test_a_query_of_a_blocked_run_says_why_and_one_that_nobody_can_answer_says_so() -> None:
    @workflow(name="changing_class")
    class Before:
        async def run(self) -> None:
            await look_up_price("a")
            await keepstep.receive("go")

        @keepstep.query
        def state(self) -> str:
            return "fine"

    async def program(engine: Engine) -> None:
        handle = await engine.start(Before, id="changing")
        assert await handle.query("state") == "fine"
        while (await handle.describe()).events < 2:
            await asyncio.sleep(0.1)
        assert handle.run_id is not None
        assert engine.worker is not None
        forget("workflow", "changing_class")

        @workflow(name="changing_class")
        class After:
            async def run(self) -> None:
                await keepstep.receive("go")

            @keepstep.query
            def state(self) -> str:
                return "fine"

            @keepstep.update
            def mend(self) -> str:
                return "mended"

        engine.worker.residents[handle.run_id].release()
        for _ in range(2):  # once by whoever replays it to answer, once when it is known to be blocked
            with pytest.raises(Blocked, match="does not fit the run's history"):
                await handle.query("state")
            await handle.signal("go")
            while (await handle.describe()).condition != "blocked":
                await asyncio.sleep(0.1)
        with pytest.raises(TimedOut, match=r"no outcome after 5 s: .*does not fit"):
            await handle.update("mend", timeout=5)

    on_an_engine(program)


def test_a_query_without_a_worker_says_that_none_is_there() -> None:
    async def program(engine: Engine) -> None:
        handle = await engine.start(Cart, "ann", id="unserved", queue="elsewhere")
        with pytest.raises(NoWorker, match="no worker serves queue 'elsewhere'"):
            await handle.query("total")
        with pytest.raises(TimedOut):
            await handle.update("add", "tea", timeout=3)

    on_an_engine(program)


def test_a_paused_run_answers_queries_as_it_stands_and_lets_updates_wait() -> None:
    async def program(engine: Engine) -> None:
        handle = await engine.start(Cart, "ann", id="paused-cart")
        await handle.update("add", "tea")
        await handle.pause()
        assert await handle.query("total") == 3
        waiting = asyncio.ensure_future(handle.update("add", "coffee"))
        await asyncio.sleep(5)
        assert not waiting.done()
        await handle.resume()
        assert await waiting == Item("coffee", 6)

    on_an_engine(program)


def test_two_classes_of_one_name_in_two_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "from keepstep import workflow\n@workflow\nclass TwoFold:\n    async def run(self) -> None: ...\n"
    for name in ("one_fold", "other_fold"):
        (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("one_fold")
    with pytest.raises(InvalidInput, match="two workflows are named 'TwoFold'"):
        importlib.import_module("other_fold")
    importlib.reload(sys.modules["one_fold"])
    forget("workflow", "TwoFold")


@workflow
class LastSeat:
    """Sold to one guest, and closed by the update that ends it."""

    def __init__(self) -> None:
        self.sold_to = ""
        self.is_over = False

    async def run(self) -> str:
        await keepstep.wait_for(lambda: self.is_over)
        return self.sold_to

    @keepstep.update
    def sell(self, guest: str) -> str:
        self.sold_to = guest
        return guest

    @sell.validator
    def check_sell(self, guest: str) -> None:
        if self.sold_to:
            raise ValueError(f"sold to {self.sold_to}")

    @keepstep.update
    def finish(self) -> str:
        self.is_over = True
        return "finished"

    @keepstep.signal
    def remind(self) -> None: ...

    @keepstep.query
    def guest(self) -> str:
        return self.sold_to


def test_a_validator_is_asked_only_when_nothing_is_on_its_way_into_the_history() -> None:
    async def program(engine: Engine) -> list[str]:
        handle = await engine.start(LastSeat, id="last-seat")
        assert await handle.query("guest") == ""
        assert engine.worker is not None
        assert handle.run_id is not None
        updating = engine.worker.residents[handle.run_id].updating
        requests = [UpdateRequest(f"u{n}", f'["guest {n}"]'.encode()) for n in range(4)]
        replies = await asyncio.gather(*(updating.perform("sell", each) for each in requests))
        return [reply.kind.value for reply in replies]

    assert on_an_engine(program) == ["value", "rejected", "rejected", "rejected"]


def test_a_query_sees_what_was_acknowledged_although_its_hint_was_lost() -> None:
    async def program(engine: Engine) -> list[str]:
        handle = await engine.start(Cart, "ann", id="deaf-cart")
        assert await handle.query("notes_so_far") == []
        assert engine.worker is not None
        engine.journal.unlisten(engine.worker._hear)
        await handle.signal("note", "heard")
        notes: list[str] = await handle.query(Cart.notes_so_far)
        engine.journal.listen(engine.worker._hear)
        return notes

    assert on_an_engine(program) == ["heard"]


class Meddling(CrashingJournal):
    """A signal comes right before the first commit that would close a run."""

    has_meddled = False

    def submit(self, commit: Commit) -> Promise:
        if commit.status is None or Meddling.has_meddled:
            return super().submit(commit)
        Meddling.has_meddled = True
        promise = Promise(loop=asyncio.get_running_loop())
        self.meddling = asyncio.ensure_future(self._meddle(commit, promise))
        return promise

    async def _meddle(self, commit: Commit, promise: Promise) -> None:
        await self.send(NewMessage(run_id=commit.run_id, kind="signal", name="remind", data=b"null"))
        done = super().submit(commit)
        await asyncio.wait((done,))
        error = done.exception()
        promise.settle(None if error is not None else done.result(), error)


def test_an_outcome_that_was_to_close_the_run_is_recorded_although_a_signal_came_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.runtime.crashing.CrashingJournal", Meddling)
    Meddling.has_meddled = False

    async def program(engine: Engine) -> list[str]:
        handle = await engine.start(LastSeat, id="meddled-seat")
        assert engine.worker is not None
        engine.journal.unlisten(engine.worker._hear)  # it learns of the signal only when it cannot close
        assert await handle.update("finish", id="f") == "finished"
        await handle.result()
        return await history_of(handle)

    assert on_an_engine(program) == [
        "workflow_started", "update_accepted", "signal_received", "update_completed", "workflow_completed",
    ]  # fmt: skip
    assert Meddling.has_meddled


@workflow
class KnowsTheIdOfItsUpdate:
    def __init__(self) -> None:
        self.seen: list[str | None] = []

    async def run(self) -> list[str | None]:
        await keepstep.wait_for(lambda: len(self.seen) == 4)
        return [*self.seen, keepstep.info().update_id]

    @keepstep.update
    async def note(self) -> str | None:
        async def beside() -> str | None:
            await keepstep.sleep(1)
            return keepstep.info().update_id

        self.seen.append(await asyncio.create_task(beside()))
        return keepstep.info().update_id

    @keepstep.signal
    def hint(self) -> None:
        self.seen.append(keepstep.info().update_id)


def test_the_handler_of_an_update_and_what_it_sets_going_know_its_id_and_nobody_else_does() -> None:
    async def program(engine: Engine) -> list[Any]:
        handle = await engine.start(KnowsTheIdOfItsUpdate, id="k")
        told = await asyncio.gather(*(handle.update(KnowsTheIdOfItsUpdate.note, id=f"u{n}") for n in range(3)))
        await handle.signal(KnowsTheIdOfItsUpdate.hint)
        return [sorted(filter(None, told)), await handle.result()]

    told, seen = on_an_engine(program)
    assert told == ["u0", "u1", "u2"]
    assert (set(seen[:4]), seen[4]) == ({"u0", "u1", "u2", None}, None)
