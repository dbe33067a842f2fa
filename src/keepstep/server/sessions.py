"""Sessions: who has logged in with a browser, kept on the server; the browser has nothing but a random name of one.

They lie in the database, as keys do, each a run of a language that no worker has, in a namespace that nobody can name:
so all processes of a server share them, they outlive a restart, and who logs out, or whose key is revoked, is out in
all of them at once. A cookie that carried its own content, sealed, would need none of this, and could not be ended.

Invariants

* Only the digest of a session's name is kept: who reads the database cannot take one over.
* Every log-in makes a new session, and ends the one that the browser had; a name that was planted before is worth
  nothing afterwards.
* A session ends ``idle_seconds`` after it was last used and ``total_seconds`` after it began, whichever comes first.
  When it was used is written down once in ``idle_seconds / TOUCHES`` at most.
* There are never more than ``SESSIONS_MAX``.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable

import msgspec

from keepstep.client.access import Grant
from keepstep.client.namespace import SESSIONS_ROOM
from keepstep.journal import (
    Commit,
    Condition,
    Conflict,
    IfRunning,
    Journal,
    NewEvent,
    NewRun,
    Overloaded,
    Run,
    Status,
)

LANGUAGE = ":sessions"
FORMAT = 1
BEGUN, ENDED = "session_begun", "session_ended"

IDLE_SECONDS = 3600.0
TOTAL_SECONDS = 12 * 3600.0
TOUCHES = 10
SESSIONS_MAX = 10_000
SWEEP_MAX = 100
PAGE = 500
SECRET_BYTES = 32

_FORM = re.compile(r"[A-Za-z0-9_-]{43}")


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of one."""

    name: str
    """Of who has logged in."""
    subject: str = ""
    """As the identity provider calls them; empty for a key."""
    grants: tuple[Grant, ...] = ()
    """Of a person, as they were at the log-in; those of a key are looked up at each call."""
    key_id: str = ""
    """Of the key that was shown."""
    seen_at: int
    """Engine time in microseconds."""
    expires_at: int


class Sessions:
    """The sessions of a store. ``random_bytes`` and ``make_id`` are where chance comes from."""

    def __init__(
        self,
        store: Journal,
        random_bytes: Callable[[int], bytes],
        make_id: Callable[[], str],
        *,
        idle_seconds: float = IDLE_SECONDS,
        total_seconds: float = TOTAL_SECONDS,
        now: Callable[[], int] | None = None,
    ) -> None:
        self._store = store
        self.random_bytes = random_bytes
        self._make_id = make_id
        self._now = store.clock.now if now is None else now
        self._idle = round(idle_seconds * 1e6)
        self._total = round(total_seconds * 1e6)

    @property
    def seconds_max(self) -> int:
        """How long one lives at most."""
        return self._total // 1_000_000

    async def begin(self, name: str, *, subject: str = "", grants: tuple[Grant, ...] = (), key_id: str = "") -> str:
        """A new session; the text that the browser keeps. Raises ``Overloaded``."""
        await self._sweep()
        if await self._store.count_runs(SESSIONS_ROOM, statuses=[Status.RUNNING]) >= SESSIONS_MAX:
            raise Overloaded(f"{SESSIONS_MAX:,} people are logged in already; try again later")
        now = self._now()
        text = base64.urlsafe_b64encode(self.random_bytes(SECRET_BYTES)).rstrip(b"=").decode()
        session = Session(
            name=name, subject=subject, grants=grants, key_id=key_id, seen_at=now, expires_at=now + self._total
        )
        run_id = self._make_id()
        await self._store.start(
            NewRun(
                run_id=run_id,
                workflow_id=_digest(text),
                namespace=SESSIONS_ROOM,
                language=LANGUAGE,
                format=FORMAT,
                type=LANGUAGE,
                queue=LANGUAGE,
                events=(NewEvent(BEGUN, now, None, b""),),
                started_at=now,
                input_digest=b"",
                wake_at=None,
                if_running=IfRunning.REJECT,
                if_closed=IfRunning.REJECT,
            )
        )
        run = await self._store.read_run(run_id)
        assert run is not None
        await self._store.commit(_keeping(run, session))
        return text

    async def find(self, text: str) -> Session | None:
        """The session of that name, if it counts; with this it was used."""
        if not _FORM.fullmatch(text):
            return None
        run = await self._store.find_run(SESSIONS_ROOM, _digest(text))
        if run is None or run.status is not Status.RUNNING or not run.detail:
            return None
        session = msgspec.json.decode(run.detail, type=Session)
        now = self._now()
        if not self._counts(session):
            await self._close(run)
            return None
        if now - session.seen_at >= self._idle // TOUCHES:
            try:
                await self._store.commit(_keeping(run, msgspec.structs.replace(session, seen_at=now)))
            except Conflict:
                pass  # somebody else has used it at the same moment, or ended it, which the next call sees
        return session

    async def list_open(self) -> list[Session]:
        """Those that are not over, the newest first; one that nobody uses may end sooner than it says."""
        return [session for _, session in await self._open() if self._now() < session.expires_at]

    async def end_of(self, name: str) -> int:
        """End all that somebody of that name or subject has; how many."""
        theirs = [run for run, session in await self._open() if name in (session.name, session.subject)]
        for run in theirs:
            await self._end(run.workflow_id)
        return len(theirs)

    async def _open(self) -> list[tuple[Run, Session]]:
        found: list[tuple[Run, Session]] = []
        before: tuple[int, str] | None = None
        while page := await self._store.list_runs(SESSIONS_ROOM, statuses=[Status.RUNNING], before=before, limit=PAGE):
            before = (page[-1].started_at, page[-1].run_id)
            found += [(run, msgspec.json.decode(run.detail, type=Session)) for run in page if run.detail]
        return found

    def _counts(self, session: Session) -> bool:
        return self._now() < min(session.expires_at, session.seen_at + self._idle)

    async def end(self, text: str) -> None:
        """Log out. One that is not there has ended already."""
        if _FORM.fullmatch(text):
            await self._end(_digest(text))

    async def _end(self, digest: str) -> None:
        while (run := await self._store.find_run(SESSIONS_ROOM, digest)) and run.status is Status.RUNNING:
            await self._close(run)

    async def _close(self, run: Run) -> None:
        now = self._now()
        event = NewEvent(ENDED, now, None, b"")
        try:
            await self._store.commit(
                Commit(run_id=run.run_id, version=run.version, status=Status.COMPLETED, events=(event,), detail=b"")
            )
        except Conflict:
            pass  # it was used meanwhile, or somebody else has ended it

    async def _sweep(self) -> None:
        """Remove what has ended, and end what is over and was never asked for again; some at a time."""
        now = self._now()
        over = await self._store.list_runs(
            SESSIONS_ROOM, statuses=[Status.RUNNING], before=(now - self._total, ""), limit=SWEEP_MAX
        )
        for run in over:
            await self._close(run)
        await self._store.purge(SESSIONS_ROOM, now, SWEEP_MAX)


def _keeping(run: Run, session: Session) -> Commit:
    return Commit(
        run_id=run.run_id, version=run.version, condition=Condition.WAITING, detail=msgspec.json.encode(session)
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
