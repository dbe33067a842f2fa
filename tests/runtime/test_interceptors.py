"""What stands around calls: it sees them, may change them, and is the same at every replay, whatever crashes."""

from __future__ import annotations

import asyncio
import contextvars
from collections import Counter
from typing import Any

import pytest

import keepstep
from keepstep import (
    Calling,
    Engine,
    Executing,
    Interceptor,
    InvalidInput,
    QueryFailed,
    Retry,
    Running,
    Sending,
    StepFailed,
    TooLarge,
    UpdateRejected,
    WorkflowFailed,
    step,
    workflow,
)
from keepstep.runtime import history
from keepstep.runtime.interceptor import HEADERS_BYTES_MAX, CallNext
from tests.runtime.crashing import crash_at_every_commit
from tests.runtime.programs import on_an_engine

USER: contextvars.ContextVar[str] = contextvars.ContextVar("USER", default="nobody")


class Context(Interceptor):
    """Carries who it is done for: from the client's context to that of every step."""

    async def send(self, call: Sending, call_next: CallNext[Sending]) -> Any:
        call.headers["user"] = USER.get()
        return await call_next(call)

    async def execute(self, call: Executing, call_next: CallNext[Executing]) -> Any:
        token = USER.set(call.headers.get("user", "nobody"))
        try:
            return await call_next(call)
        finally:
            USER.reset(token)


@step
async def who_here(_: str) -> str:
    return f"here {USER.get()} {keepstep.step_info().headers['user']}"


@step
def who_on_a_thread(_: str) -> str:
    return f"thread {USER.get()} {keepstep.step_info().headers['user']}"


@step(queue="far")
def who_far_away(_: str) -> str:
    return f"far {USER.get()} {keepstep.step_info().headers['user']}"


@step(once=True)
async def who_once(_: str) -> str:
    return f"once {USER.get()} {keepstep.step_info().headers['user']}"


@workflow
async def ask_who_in_a_child(round: int) -> list[str]:
    if round == 1:
        keepstep.continue_as_new(2)
    return [f"child {keepstep.info().headers['user']}", await who_here("child")]


@workflow
async def ask_everywhere_who() -> list[str]:
    said = await asyncio.gather(who_here(""), who_on_a_thread(""), who_far_away(""), who_once(""))
    await keepstep.sleep(1)
    child = await keepstep.start_child(ask_who_in_a_child, 1)
    return [keepstep.info().headers["user"], *said, *await child, *await ask_who_in_a_child(2)]


async def have_it_asked(engine: Engine) -> list[str]:
    USER.set("ann")
    run = await engine.start(ask_everywhere_who, id="who")
    USER.set("bob")
    return await run.result()


def test_headers_travel_with_a_run_wherever_its_parts_are_executed_and_over_a_crash_at_every_commit() -> None:
    def check(said: list[str], crashes: int) -> None:
        everywhere = [f"{where} ann ann" for where in ("here", "thread", "far")]
        assert said[:4] == ["ann", *everywhere]
        assert said[5:] == ["child ann", "here ann ann"] * 2

    crash_at_every_commit(
        have_it_asked_and_settled, check, poll_seconds=60.0, interceptors=[Context()], queues=("default", "far")
    )


async def have_it_asked_and_settled(engine: Engine) -> list[str]:
    """A ``once`` step that a crash cut off is said to have been done."""
    asked = asyncio.ensure_future(have_it_asked(engine))
    while not (await asyncio.wait((asked,), timeout=20))[0]:
        if (await engine.get("who").describe()).condition == "uncertain":
            await engine.resolve("who", "who_once", "settled")
    return asked.result()


class Loud(Interceptor):
    """Changes everything on its way, and writes down what it sees."""

    def __init__(self, mark: str = "!") -> None:
        self.mark = mark
        self.seen: list[str] = []

    async def send(self, call: Sending, call_next: CallNext[Sending]) -> Any:
        self.seen.append(f"send {call.kind} {call.name} {call.workflow_id}")
        call.args = [f"{each}{self.mark}" for each in call.args]
        return await call_next(call)

    async def run(self, call: Running, call_next: CallNext[Running]) -> Any:
        call.args = [f"{each}r" for each in call.args]
        result = await call_next(call)
        return None if result is None else f"{result}R"

    async def call(self, call: Calling, call_next: CallNext[Calling]) -> Any:
        call.args = [f"{each}c" for each in call.args]
        return f"{await call_next(call)}C"

    async def execute(self, call: Executing, call_next: CallNext[Executing]) -> Any:
        call.args = [f"{each}e" for each in call.args]
        return f"{await call_next(call)}E"


@step
async def repeat_for_interceptors(text: str) -> str:
    return text


@workflow
class Board:
    def __init__(self) -> None:
        self.said: list[str] = []

    async def run(self, text: str) -> str:
        self.said.append(await repeat_for_interceptors(text))
        await keepstep.wait_for(lambda: "end" in self.said[-1])
        return " ".join(self.said)

    @keepstep.signal
    async def post(self, text: str) -> None:
        self.said.append(await repeat_for_interceptors(text))

    @keepstep.update
    async def put(self, text: str) -> str:
        self.said.append(text)
        return text

    @put.validator
    def check_put(self, text: str) -> None:
        if "rude" in text:
            raise ValueError(text)

    @keepstep.query
    def last(self, text: str) -> str:
        return f"{text}:{self.said[-1]}"


async def talk(engine: Engine) -> list[str]:
    run = await engine.start(Board, "a", id="board")
    said = [str(await run.update(Board.put, "b", id="u"))]
    if (await run.describe()).status == "running":
        with pytest.raises(UpdateRejected, match="rude!r"):
            await run.update(Board.put, "rude", id="rude")
    said.append(await run.query(Board.last, "q"))
    if (await run.describe()).status == "running":
        await engine.signal("board", Board.post, "end")
    return [*said, await run.result()]


TALKED = ["b!rR", "q!r:b!rR", "a!rceEC b!r end!rceECR"]


def test_every_kind_of_call_is_changed_on_its_way_and_recorded_as_it_came_out() -> None:
    loud = Loud()
    assert on_an_engine(talk, interceptors=[loud]) == TALKED
    assert loud.seen == [
        "send start Board board",
        "send update put board",
        "send update put board",
        "send query last board",
        "send signal post board",
    ]


def test_what_was_changed_is_the_same_after_a_crash_at_every_commit() -> None:
    def check(said: list[str], crashes: int) -> None:
        asked_again = "q!r:end!rceECR" if crashes else ""
        assert [said[0], said[2]] == [TALKED[0], TALKED[2]]
        assert said[1] in (TALKED[1], asked_again)

    assert crash_at_every_commit(talk, check, interceptors=[Loud()]) >= 12


def test_the_first_interceptor_is_the_outermost_and_a_start_surrounds_what_is_said_with_it() -> None:
    async def program(engine: Engine) -> list[str]:
        run = await engine.signal_with_start(Board, "a", id="b", signal="post", value="end")
        other = await engine.update_with_start(Board, "a", id="c", update="put", update_args=["x"])
        return [await run.result(), other]

    one, two = Loud("1"), Loud("2")
    first, other = on_an_engine(program, interceptors=[one, two])
    assert first == "a12rrcceeEECC end12rrcceeEECCRR"
    assert other == "x12rrRR"
    assert [each.split()[1] for each in two.seen] == ["start", "signal", "start", "update"]


class Stubborn(Interceptor):
    """Has every step one more chance than it takes itself, and asks a step of its own about it."""

    async def call(self, call: Calling, call_next: CallNext[Calling]) -> Any:
        call.step = call.step.options(retry=Retry(max_attempts=1))
        try:
            return await call_next(call)
        except StepFailed:
            if call.step is allow_another_try:
                raise
            await allow_another_try()
            return await call_next(call)


tries: Counter[str] = Counter()


@step
async def allow_another_try() -> None:
    tries["allowed"] += 1


@step
async def fail_at_first(what: str) -> str:
    tries[what] += 1
    if tries[what] == 1:
        raise ConnectionError(what)
    return f"{what} at try {tries[what]}"


@step
def undo_for_interceptors(what: str, outcome: keepstep.Outcome) -> None:
    tries[f"undone {outcome.status}"] += 1


@workflow
async def have_it_tried_around(tag: str) -> list[str]:
    started = fail_at_first.start(f"{tag} started")
    said = await asyncio.gather(fail_at_first(f"{tag} left"), fail_at_first(f"{tag} right"), asyncio.shield(started))
    try:
        async with keepstep.saga() as saga:
            await saga.run(fail_at_first, f"{tag} charged", undo=undo_for_interceptors)
            raise ValueError("that was all")
    except ValueError:
        return [*said, f"undone: {tries['undone succeeded'] > 0}"]


@workflow
def have_it_tried_around_in_sync_code(tag: str) -> list[str]:
    started: Any = fail_at_first.start(f"{tag} started")
    return [fail_at_first(f"{tag} left"), started.result()]


async def try_both(engine: Engine) -> list[str]:
    return [
        *await engine.run(have_it_tried_around, "a", id="a"),
        *await engine.run(have_it_tried_around_in_sync_code, "s", id="s"),
    ]


def test_an_interceptor_may_call_steps_and_ask_once_more_in_async_and_sync_code() -> None:
    tries.clear()
    assert on_an_engine(try_both, interceptors=[Stubborn()]) == [
        "a left at try 2", "a right at try 2", "a started at try 2", "undone: True", "s left at try 2",
        "s started at try 2",
    ]  # fmt: skip
    assert tries["allowed"] == 6


def test_what_an_interceptor_asks_for_survives_a_crash_at_every_commit() -> None:
    tries.clear()

    def check(said: list[str], crashes: int) -> None:
        tries.clear()
        assert [each.rpartition(" ")[0] for each in said[:3]] == [
            f"a {it} at try" for it in ("left", "right", "started")
        ]
        assert "undone: True" in said
        assert len(said) == 6

    assert crash_at_every_commit(try_both, check, interceptors=[Stubborn()]) >= 30


def test_a_step_that_is_given_up_is_given_up_through_its_interceptors() -> None:
    @step(name="never_ends_for_interceptors")
    async def never_ends() -> None:
        await asyncio.Event().wait()

    @workflow(name="gives_up_for_interceptors")
    async def gives_up() -> list[bool]:
        handle = never_ends.start()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await never_ends()
        handle.cancel()
        await asyncio.wait([handle])
        return [handle.cancelled()]

    assert on_an_engine(lambda engine: engine.run(gives_up, id="g"), interceptors=[Stubborn(), Context()]) == [True]


class Waiting(Interceptor):
    async def run(self, call: Running, call_next: CallNext[Running]) -> Any:
        if call.kind in ("query", "validator"):
            await asyncio.Event().wait()
        return await call_next(call)


def test_a_query_and_a_validator_are_answered_at_once_whatever_stands_around_them() -> None:
    async def program(engine: Engine) -> list[str]:
        run = await engine.start(Board, "first", id="b")
        with pytest.raises(UpdateRejected) as rejected:
            await run.update(Board.put, "x")
        with pytest.raises(QueryFailed) as failed:
            await run.query(Board.last, "x")
        return [str(each.value.__cause__) for each in (rejected, failed)]

    said = on_an_engine(program, interceptors=[Waiting()])
    assert said == [
        f"an interceptor waits around {it}, which is answered at once" for it in ("validator 'put'", "query 'last'")
    ]


class Exchanging(Interceptor):
    async def call(self, call: Calling, call_next: CallNext[Calling]) -> Any:
        call.step = allow_another_try
        return await call_next(call)


def test_an_interceptor_may_not_put_another_step_in_the_place_of_one() -> None:
    async def program(engine: Engine) -> None:
        await engine.run(have_it_tried_around, "x", id="x")

    with pytest.raises(WorkflowFailed, match="may give step 'fail_at_first' other options"):
        on_an_engine(program, interceptors=[Exchanging()])


class Carrying(Interceptor):
    def __init__(self, headers: Any) -> None:
        self.headers = headers

    async def send(self, call: Sending, call_next: CallNext[Sending]) -> Any:
        call.headers = self.headers
        return await call_next(call)


@pytest.mark.parametrize(
    ("headers", "refused", "why"),
    [
        ({"a": 1}, InvalidInput, "header 'a'"),
        ({"": "x"}, InvalidInput, "the name of a header"),
        ({"a": "\ud800"}, InvalidInput, "lone surrogate"),
        ("abc", InvalidInput, "a mapping of text to text"),
        ({"a": "x" * HEADERS_BYTES_MAX}, TooLarge, "16,385 bytes"),
    ],
)
def test_headers_that_cannot_travel_are_refused_where_they_are_given(headers: Any, refused: Any, why: str) -> None:
    async def program(engine: Engine) -> int:
        with pytest.raises(refused, match=why):
            await engine.start(have_it_tried_around, "x", id="x")
        return await engine.count()

    assert on_an_engine(program, interceptors=[Carrying(headers)]) == 0


def test_what_is_no_interceptor_is_refused_where_the_engine_is_made() -> None:
    with pytest.raises(InvalidInput, match="instances of subclasses of"):
        Engine("memory:", interceptors=[Context])  # type: ignore[list-item]


def test_a_run_without_headers_is_recorded_as_before() -> None:
    async def first_event(engine: Engine) -> Any:
        run = await engine.start(Board, "end", id="b")
        [event] = await engine.journal.read_events(str(run.run_id), limit=1)
        data = history.WorkflowStarted(
            **{
                name: getattr(history.unpack(event.type, event.data), name)
                for name in history.WorkflowStarted.__struct_fields__
            }
        )
        return event.data == history.pack(data)

    assert on_an_engine(first_event)
    assert on_an_engine(first_event, interceptors=[Stubborn()])
    assert not on_an_engine(first_event, interceptors=[Context()])


class Auditing(Interceptor):
    """A context of its own around each part of a workflow's code, and a step before it."""

    async def run(self, call: Running, call_next: CallNext[Running]) -> Any:
        if call.kind == "workflow":
            await allow_another_try()
        try:
            return await call_next(call)
        except ValueError as error:
            return f"{call.name} in {keepstep.info().workflow_id}: {error}"


@workflow
async def fail_for_interceptors() -> str:
    await keepstep.sleep(1)
    raise ValueError("that was all")


def test_what_stands_around_a_workflow_may_wait_and_take_its_error() -> None:
    def check(said: str, crashes: int) -> None:
        assert said == "fail_for_interceptors in f: that was all"

    assert crash_at_every_commit(
        lambda engine: engine.run(fail_for_interceptors, id="f"), check, interceptors=[Auditing()]
    )
