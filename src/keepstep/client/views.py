"""Views: filters that have a name, shared by all who look at the runs of a namespace.

They are kept as keys and rules of retention are: in the ``detail`` of a run of a language that no worker has, in a room
beside the namespace. A change is one commit that expects the version that was read; who has changed what stands in the
run's audit trail.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from keepstep.journal import (
    Commit,
    Condition,
    Conflict,
    IfRunning,
    InvalidInput,
    Journal,
    NewEvent,
    NewRun,
    NotFound,
    Run,
    Unreadable,
    cell_of,
)
from keepstep.runtime.data import checked_name, plain_text

from .namespace import views_room
from .searching import read_filter

LANGUAGE = ":views"
TYPE = ":views"
QUEUE = ":views"
ID = "views"
FORMAT = 1
BEGUN = "views_begun"

VIEWS_MAX = 200
NAME_CHARS_MAX = 100
TRIES_MAX = 20


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A filter that has a name."""

    name: str
    filter: str
    by: str
    """Who has saved it, as far as that is known."""
    saved_at: int
    """Engine time."""


class _Standing(msgspec.Struct, frozen=True):
    views: dict[str, View] = {}
    """By their names."""


class Views:
    """The views of a namespace."""

    def __init__(self, journal: Journal, namespace: str, make_id: Callable[[], str]) -> None:
        self._journal = journal
        self._namespace = namespace
        self._make_id = make_id

    async def list(self) -> list[View]:
        """All of them, by name. Raises ``Unreadable``."""
        run = await self._find()
        return [] if run is None else sorted(_read(run).views.values(), key=lambda each: each.name.casefold())

    async def save(self, name: str, filter: str, by: str = "") -> View:
        """Keep a filter under a name, in the place of what was kept there.

        Raises ``InvalidInput``, ``FilterError`` for a filter that cannot be understood, ``Unreadable``.
        """
        checked_name(plain_text(name, "the name of a view"), "the name of a view", NAME_CHARS_MAX)
        if not name.isprintable() or name != name.strip():
            raise InvalidInput(f"the name of a view has printable signs, and no space at its ends, not {name!r:.100}")
        await read_filter(self._journal, self._namespace, filter)
        view = View(name=name, filter=filter, by=by, saved_at=self._journal.clock.now())

        def put(views: dict[str, View]) -> dict[str, View]:
            if name not in views and len(views) >= VIEWS_MAX:
                raise InvalidInput(f"there are {VIEWS_MAX} views already; delete those that nobody uses")
            return {**views, name: view}

        await self._change(put, f"save {name}, by {by}" if by else f"save {name}")
        return view

    async def delete(self, name: str, by: str = "") -> None:
        """Forget a view. Raises ``NotFound``, ``Unreadable``."""

        def remove(views: dict[str, View]) -> dict[str, View]:
            if name not in views:
                raise NotFound(f"there is no view {name!r:.100} in namespace {self._namespace!r}")
            return {each: view for each, view in views.items() if each != name}

        await self._change(remove, f"delete {name}, by {by}" if by else f"delete {name}")

    async def _find(self) -> Run | None:
        return await self._journal.find_run(views_room(self._namespace), ID)

    async def _change(self, edit: Callable[[dict[str, View]], dict[str, View]], audit: str) -> None:
        for _ in range(TRIES_MAX):
            run = await self._find()
            if run is None:
                edit({})  # what cannot be is refused before anything is written
                await self._begin()
                continue
            changed = _Standing(edit(dict(_read(run).views)))
            commit = Commit(
                run_id=run.run_id,
                version=run.version,
                condition=Condition.WAITING,
                detail=msgspec.json.encode(changed),
                audit=audit,
            )
            try:
                await self._journal.commit(commit)
                return
            except Conflict:
                continue
        raise Conflict("the views change too quickly to be changed; try again")

    async def _begin(self) -> None:
        """No views yet. No worker is ever offered them."""
        now = self._journal.clock.now()
        await self._journal.start(
            NewRun(
                run_id=self._make_id(),
                workflow_id=ID,
                namespace=views_room(self._namespace),
                language=LANGUAGE,
                format=FORMAT,
                type=TYPE,
                queue=QUEUE,
                events=(NewEvent(BEGUN, now, None, b""),),
                started_at=now,
                input_digest=b"",
                wake_at=None,
                if_running=IfRunning.ATTACH,
                if_closed=IfRunning.ATTACH,
            )
        )


def _read(run: Run) -> _Standing:
    if (cell := cell_of(run.detail)) is not None:
        raise Unreadable(f"the views are {cell}, which cannot be read here; give the engine its codec")
    return msgspec.json.decode(run.detail, type=_Standing) if run.detail else _Standing()
