"""Reading: a store whose disk has cells, as its readers see it: with plain data in their place.

What cannot be read here is told by ``Unreadable``, or left as it is where it would hold up others: messages of a run
that cannot go on, and entries of the log.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec

from keepstep.journal import Event, Journal, Loaded, LogEntry, Message, Position, Run, Unreadable
from keepstep.journal.search import Page, Search

from . import binding
from .opening import is_cell, open_events, open_runs, places_of, readable, want_loaded, with_all_opened
from .storage import Storage

replace = msgspec.structs.replace

NAMES_KEPT_MAX = 100_000


class Reading:
    """The methods of the port that read values; the base of the journal that seals them, too."""

    def __init__(self, journal: Journal, storage: Storage) -> None:
        self._journal = journal
        self.storage = storage
        self._names: OrderedDict[str, tuple[str, str]] = OrderedDict()
        """Of runs: their namespace and workflow id."""

    async def _runs(self, runs: Sequence[Run]) -> list[Run]:
        for run in runs:
            self._remember(run.run_id, run.namespace, run.workflow_id)
        return await open_runs(runs, self.storage.open)

    async def read_run(self, run_id: str) -> Run | None:
        run = await self._journal.read_run(run_id)
        return None if run is None else (await self._runs((run,)))[0]

    async def find_run(self, namespace: str, workflow_id: str) -> Run | None:
        run = await self._journal.find_run(namespace, workflow_id)
        return None if run is None else (await self._runs((run,)))[0]

    async def list_runs(self, namespace: str, **options: Any) -> list[Run]:
        return await self._runs(await self._journal.list_runs(namespace, **options))

    async def search_runs(self, namespace: str, search: Search, **options: Any) -> Page:
        page = await self._journal.search_runs(namespace, search, **options)
        return Page(await self._runs(page.runs), page.after)

    async def load(self, run_id: str) -> Loaded:
        """Raises ``Unreadable`` too."""
        loaded = await self._journal.load(run_id)
        self._remember(run_id, loaded.run.namespace, loaded.run.workflow_id)
        wanted = want_loaded(loaded)
        return with_all_opened(loaded, await self.storage.open(wanted)) if wanted else loaded

    async def read_events(self, run_id: str, after_seq: int = 0, limit: int = 1000) -> list[Event]:
        return await open_events(run_id, await self._journal.read_events(run_id, after_seq, limit), self.storage.open)

    async def read_state(self, run_id: str, kind: str | None = None) -> dict[tuple[str, str], bytes]:
        rows = await self._journal.read_state(run_id, kind)
        opened = await self.storage.open([(data, (binding.of_state_key(run_id, *key),)) for key, data in rows.items()])
        return {key: readable(data, f"the state {key[0]} of {key[1]}") for key, data in zip(rows, opened, strict=True)}

    async def list_state(
        self, namespace: str, kind: str, *, after: tuple[str, str] | None = None, limit: int = 100
    ) -> list[tuple[str, str, bytes]]:
        rows = await self._journal.list_state(namespace, kind, after=after, limit=limit)
        wanted = [(data, (binding.of_state_key(run_id, kind, key),)) for run_id, key, data in rows]
        opened = zip(rows, await self.storage.open(wanted), strict=True)
        return [(run_id, key, readable(data, f"the {kind} of run {run_id}")) for (run_id, key, _), data in opened]

    async def read_messages(self, run_id: str) -> list[Message]:
        return await self._messages(await self._journal.read_messages(run_id))

    async def read_messages_of(self, run_ids: Sequence[str]) -> list[Message]:
        return await self._messages(await self._journal.read_messages_of(run_ids))

    async def read_inbox(self, lease_id: str, after: int, limit: int = 1000) -> list[Message]:
        return await self._messages(await self._journal.read_inbox(lease_id, after, limit))

    async def _messages(self, messages: list[Message]) -> list[Message]:
        """Messages in plain. What cannot be read is left as it is: its run cannot go on, and others can."""
        cells = [n for n, each in enumerate(messages) if is_cell(each.data)]
        if not cells:
            return messages
        plain = list(messages)
        wanted = [(plain[n].data, places_of(plain[n], await self._name_of(plain[n].run_id))) for n in cells]
        for n, data in zip(cells, await self.storage.open(wanted), strict=True):
            if isinstance(data, bytes):
                plain[n] = replace(plain[n], data=data)
            elif not isinstance(data, Unreadable):
                raise data
        return plain

    async def _name_of(self, run_id: str) -> tuple[str, str] | None:
        if run_id not in self._names:
            await self.read_run(run_id)
        return self._names.get(run_id)

    def _remember(self, run_id: str, namespace: str, workflow_id: str) -> None:
        self._names[run_id] = namespace, workflow_id
        if len(self._names) > NAMES_KEPT_MAX:
            self._names.popitem(last=False)

    async def read_log(self, after: Position, limit: int = 1000) -> list[LogEntry]:
        """The log in plain. An event that cannot be read is left as it is."""
        entries = await self._journal.read_log(after, limit)
        wanted = [(each.event.data, (binding.of_event(each.run_id, each.event),)) for each in entries]
        plain: list[LogEntry] = []
        for entry, data in zip(entries, await self.storage.open(wanted), strict=True):
            if isinstance(data, Unreadable):  # whoever reads on must not be held up by it for ever
                plain.append(entry)
                continue
            read = readable(data, f"event {entry.event.seq} of run {entry.run_id}")
            plain.append(replace(entry, event=replace(entry.event, data=read)))
        return plain
