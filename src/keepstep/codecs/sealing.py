"""Sealing: what goes to the journal, with cells in the place of data.

One ``Sealing`` is made for one operation, and gathers the blobs that must be kept before it happens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from keepstep.journal import (
    Commit,
    Deed,
    Loaded,
    NewEvent,
    NewMessage,
    NewRun,
    NewTask,
    Run,
    StateChange,
    Unreadable,
    cell_of,
)

from . import binding
from .codec import Blobs, Codec

replace = msgspec.structs.replace


class Sealing:
    """See the module."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self.blobs: Blobs = {}

    def data(self, data: bytes, bound_to: binding.Binding) -> bytes:
        """Raises ``Unreadable`` for what was read from elsewhere and could not be opened: it would be lost here."""
        cell = cell_of(data)
        if cell is not None:
            raise Unreadable(
                f"what was to be written is {cell}, and could not be opened to be sealed for its new place"
            )
        return self._codec.seal(data, bound_to, self.blobs)

    def events(self, run_id: str, events: Sequence[NewEvent]) -> tuple[NewEvent, ...]:
        return tuple([self._event(run_id, event) for event in events])

    def _event(self, run_id: str, event: NewEvent) -> NewEvent:
        return NewEvent(event.type, event.time, event.key, self.data(event.data, binding.of_event(run_id, event)))

    def message(self, message: NewMessage) -> NewMessage:
        if message.run_id is not None:
            bound_to = binding.of_message_to_run(message.run_id, message)
        elif message.namespace is not None and message.workflow_id is not None:
            bound_to = binding.of_message_to_workflow(message.namespace, message.workflow_id, message)
        else:
            return message  # it has no address, which the journal refuses
        return replace(message, data=self.data(message.data, bound_to))

    def new_run(self, new: NewRun) -> NewRun:
        return replace(
            new,
            events=self.events(new.run_id, new.events),
            input_digest=self._digest(new),
            tasks=self._tasks(new.run_id, new.tasks),
            messages=tuple([self._first_message(new.run_id, each) for each in new.messages]),
        )

    def _digest(self, new: NewRun | Run) -> bytes:
        """A digest is told from others by anyone who can guess what it is of: it is sealed like the input itself."""
        if not new.input_digest:
            return b""
        return self.data(new.input_digest, binding.of_input(new.namespace, new.workflow_id))

    def loaded(self, loaded: Loaded) -> Loaded:
        """A whole run from elsewhere."""
        run = loaded.run
        detail = self.data(run.detail, binding.of_detail(run.run_id)) if run.detail else b""
        return Loaded(
            replace(run, input_digest=self._digest(run), detail=detail),
            [replace(each, data=self.data(each.data, binding.of_event(run.run_id, each))) for each in loaded.events],
            {key: self.data(data, binding.of_state_key(run.run_id, *key)) for key, data in loaded.state.items()},
            [
                replace(each, data=self.data(each.data, binding.of_message_to_run(run.run_id, each)))
                for each in loaded.messages
            ],
        )

    def _first_message(self, run_id: str, message: NewMessage) -> NewMessage:
        """One that is there when its run begins, and so needs no address."""
        return replace(message, data=self.data(message.data, binding.of_message_to_run(run_id, message)))

    def _tasks(self, run_id: str, tasks: Sequence[NewTask]) -> tuple[NewTask, ...]:
        return tuple(
            [
                replace(task, data=self.data(task.data, binding.of_task(run_id, task))) if task.data else task
                for task in tasks
            ]
        )

    def _state(self, run_id: str, changes: Sequence[StateChange]) -> tuple[StateChange, ...]:
        return tuple(
            [
                change
                if change.data is None
                else StateChange(change.kind, change.key, self.data(change.data, binding.of_state(run_id, change)))
                for change in changes
            ]
        )

    def commit(self, commit: Commit) -> Commit:
        """A commit as it is handed in. Its deed keeps its blobs by itself (``deed``)."""
        run_id = commit.run_id
        changes: dict[str, Any] = {}
        if commit.events:
            changes["events"] = self.events(run_id, commit.events)
        if commit.state:
            changes["state"] = self._state(run_id, commit.state)
        if commit.send:
            changes["send"] = tuple([self.message(each) for each in commit.send])
        if commit.start:
            changes["start"] = tuple([self.new_run(each) for each in commit.start])
        if commit.tasks:
            changes["tasks"] = self._tasks(run_id, commit.tasks)
        if commit.detail:
            changes["detail"] = self.data(commit.detail, binding.of_detail(run_id))
        return replace(commit, **changes)


def sealed_deed(deed: Deed, run_id: str, codec: Codec, keep: Callable[[Blobs], None]) -> Deed:
    """A deed whose events are sealed where it is performed, by the store's own thread."""

    def do(connection: Any) -> Sequence[NewEvent]:
        sealing = Sealing(codec)
        events = sealing.events(run_id, deed.do(connection))
        keep(sealing.blobs)
        return events

    return Deed(do=do, seconds_max=deed.seconds_max)
