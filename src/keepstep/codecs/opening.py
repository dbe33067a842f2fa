"""Opening: what comes from the journal, with data in the place of cells.

Each function here says which data of a noun may be cells, and puts together what they were made of. It asks for all of
them at once (``Wanted``), so that blobs are fetched together, and leaves alone what holds no cell: a journal of plain
data is handed on as it is.

Two ways of failing: a run is read whole or not at all (``Unreadable``), because its code cannot go on without; lists
and histories leave what cannot be read as it is, for others to show.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import msgspec

from keepstep.journal import Event, JournalError, Loaded, Message, NewEvent, Run, Unreadable
from keepstep.journal.payload import CELL_MARK

from . import binding
from .storage import Opened, Wanted

T = TypeVar("T")

replace = msgspec.structs.replace

Open = Callable[[Sequence[Wanted]], Coroutine[Any, Any, list[Opened]]]

StateRows = dict[tuple[str, str], bytes]


def is_cell(data: bytes) -> bool:
    return data[:2] == CELL_MARK


def readable(opened: Opened, what: str) -> bytes:
    """Plain data. Raises what is wrong, naming what cannot be read."""
    if isinstance(opened, Unreadable):
        raise Unreadable(f"{what} cannot be read: {opened}")
    if isinstance(opened, JournalError):
        raise opened
    return opened


# runs


def want_run(run: Run) -> list[Wanted]:
    wanted: list[Wanted] = []
    if is_cell(run.detail):
        wanted.append((run.detail, (binding.of_detail(run.run_id),)))
    if is_cell(run.input_digest):
        wanted.append((run.input_digest, (binding.of_input(run.namespace, run.workflow_id),)))
    return wanted


def with_opened(run: Run, opened: dict[bytes, Opened]) -> Run:
    """The run, with what could be read; the rest as it is."""
    detail, digest = opened.get(run.detail, run.detail), opened.get(run.input_digest, run.input_digest)
    return replace(
        run,
        detail=detail if isinstance(detail, bytes) else run.detail,
        input_digest=digest if isinstance(digest, bytes) else run.input_digest,
    )


async def open_runs(runs: Sequence[Run], open: Open) -> list[Run]:
    wanted = [each for run in runs for each in want_run(run)]
    if not wanted:
        return list(runs)
    opened = dict(zip((data for data, _ in wanted), await open(wanted), strict=True))
    return [with_opened(run, opened) for run in runs]


# events


def want_events(run_id: str, events: Sequence[Event | NewEvent]) -> tuple[list[int], list[Wanted]]:
    """Which of them are cells, and what is wanted of them."""
    cells = [n for n, event in enumerate(events) if event.data[:2] == CELL_MARK]
    return cells, [(events[n].data, (binding.of_event(run_id, events[n]),)) for n in cells]


def open_event(event: Event, data: bytes) -> Event:
    return Event(event.seq, event.type, event.time, event.key, data)


async def open_events(run_id: str, events: list[Event], open: Open) -> list[Event]:
    """A page of a history; what cannot be read is left as it is."""
    cells, wanted = want_events(run_id, events)
    if cells:
        events = list(events)
        for n, opened in zip(cells, await open(wanted), strict=True):
            if isinstance(opened, bytes):
                events[n] = open_event(events[n], opened)
            elif not isinstance(opened, Unreadable):
                raise opened
    return events


# messages


def places_of(message: Message, run: tuple[str, str] | None) -> tuple[binding.Binding, ...]:
    """What a message may have been addressed to. ``run``: the namespace and workflow id of its run, if known."""
    to_run = binding.of_message_to_run(message.run_id, message)
    return (to_run,) if run is None else (binding.of_message_to_workflow(*run, message), to_run)


# whole runs


def want_loaded(loaded: Loaded) -> list[Wanted]:
    """All cells of a run, in the order of events, state, messages, and the run itself."""
    run = loaded.run
    _, wanted = want_events(run.run_id, loaded.events)
    wanted += [(data, (binding.of_state_key(run.run_id, *key),)) for key, data in loaded.state.items() if is_cell(data)]
    named = run.namespace, run.workflow_id
    wanted += [(each.data, places_of(each, named)) for each in loaded.messages if is_cell(each.data)]
    return wanted + want_run(run)


def with_all_opened(loaded: Loaded, opened: Sequence[Opened]) -> Loaded:
    """The run as its language wrote it. Raises ``Unreadable``, naming the first thing that cannot be read."""
    run, left = loaded.run, iter(opened)
    events, state, messages = list(loaded.events), dict(loaded.state), list(loaded.messages)
    for n, event in enumerate(events):
        if is_cell(event.data):
            events[n] = open_event(event, readable(next(left), f"event {event.seq} ({event.type})"))
    for key, data in state.items():
        if is_cell(data):
            state[key] = readable(next(left), f"the state {key[0]} of {key[1]}")
    for n, message in enumerate(messages):
        if is_cell(message.data):
            messages[n] = replace(message, data=readable(next(left), f"message {message.n} ({message.kind})"))
    rest = dict(zip((data for data, _ in want_run(run)), left, strict=True))
    return Loaded(with_opened(run, rest), events, state, messages)
