"""Archiving: runs leave a database as files and come back from them."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from keepstep.archive import Archive, Archived, decode_recording, encode_line, encode_recording, place_at
from keepstep.archive.recording import Recorded
from keepstep.codecs import Codec
from keepstep.codecs.journal import codec_of
from keepstep.journal import AuditLine, InvalidInput, NotFound, Status
from keepstep.journal.limits import WORKFLOW_ID_CHARS_MAX
from keepstep.runtime.data import checked_name

from .handle import RunHandle
from .info import moment

if TYPE_CHECKING:
    from .engine import Engine


class ArchivedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run in an archive. Times are aware and in UTC."""

    id: str
    """The workflow id."""
    run_id: str
    namespace: str
    type: str
    status: Status
    started_at: datetime
    closed_at: datetime
    events: int
    key_id: str | None
    """With which it is sealed."""
    where: str
    """File and line."""


async def export_run(engine: Engine, id: str, run_id: str | None, *, plain: bool) -> bytes:
    """A closed run as a file. See ``Engine.export``."""
    info = await engine.get(id, run_id).describe()
    loaded = await engine.journal.load(info.run_id)
    if loaded.run.status is Status.RUNNING:
        raise InvalidInput(
            f"run {id!r} is open: imported elsewhere it would go on in both places, and do everything twice; export it "
            "when it has ended, move the whole database with keepstep promote, or keep its history for tests with "
            "keepstep history ID --export FILE"
        )
    audit = await engine.journal.read_audit(info.run_id)
    codec = codec_of(engine.journal)
    if codec.keys is None or plain:
        return encode_recording(loaded, audit)
    return encode_line(loaded, audit, codec) + b"\n"


async def import_run(engine: Engine, data: bytes, as_id: str | None) -> RunHandle[Any]:
    """Take in a run. See ``Engine.import_``."""
    codec = codec_of(engine.journal)
    return await take_in(engine, await asyncio.to_thread(decode_recording, data, "what was given", codec), as_id)


async def take_in(engine: Engine, recorded: Recorded, as_id: str | None) -> RunHandle[Any]:
    """Take in what was recorded."""
    run = recorded.loaded.run
    workflow_id = run.workflow_id
    if as_id is not None:
        workflow_id = checked_name(as_id, "the id of an imported run", WORKFLOW_ID_CHARS_MAX)
    here = msgspec.structs.replace(run, workflow_id=workflow_id, namespace=engine.namespace)
    came = f"imported; it was {run.workflow_id!r} in namespace {run.namespace!r}"
    audit = (*recorded.audit, AuditLine(engine.journal.clock.now(), came))
    await engine.journal.import_run(msgspec.structs.replace(recorded.loaded, run=here), audit)
    return engine.get(workflow_id, run.run_id)


class RunArchive:
    """``engine.archive(place)``: runs that retention has archived, which need no database any more."""

    def __init__(self, engine: Engine, place: str) -> None:
        self._engine = engine
        self._archive = Archive(place_at(place))
        self.place = place

    def __repr__(self) -> str:
        return f"<archive {self.place}>"

    @property
    def troubles(self) -> tuple[str, ...]:
        """What could not be read so far, in words: files that are torn or damaged."""
        return tuple(self._archive.troubles)

    async def list(self, id: str | None = None) -> list[ArchivedRun]:
        """All runs that are there, or those of a workflow id or run id; the longest closed first."""
        return [shown(each) for each in await asyncio.to_thread(self._archive.list, id)]

    async def export(self, id: str, *, run_id: str | None = None) -> bytes:
        """A run as the plain file that ``Engine.export`` makes.

        The newest one of that id in the engine's namespace, or a certain one by its run id, of whatever namespace.

        Raises ``NotFound``; ``Unreadable`` for one that is sealed with a key that the engine does not have.
        """
        return (await self._read(id, run_id)).encoded()

    async def restore(self, id: str, *, run_id: str | None = None, as_id: str | None = None) -> RunHandle[Any]:
        """Import a run into the engine's namespace. Raises what ``export`` and ``Engine.import_`` do."""
        return await take_in(self._engine, await self._read(id, run_id), as_id)

    async def _read(self, id: str, run_id: str | None) -> Recorded:
        codec = codec_of(self._engine.journal)
        return await asyncio.to_thread(read_archived, self._archive, id, run_id, codec, self._engine.namespace)


def read_archived(
    archive: Archive, id: str, run_id: str | None, codec: Codec, namespace: str | None = None
) -> Recorded:
    """The newest run of a workflow id or run id, or a certain one. Raises ``NotFound``, ``Unreadable``.

    Several namespaces may have an archive in common. What is named by a workflow id is that of ``namespace``.
    """
    found = [each for each in archive.list(id) if run_id in (None, each.run.run_id)]
    if not found:
        raise NotFound(f"there is no run {run_id or id!r} in the archive {archive.url}")
    if namespace is not None and run_id is None:
        theirs = found[-1].run
        found = [each for each in found if each.run.namespace == namespace or each.run.run_id == id]
        if not found:
            raise NotFound(
                f"the archive {archive.url} has {id!r} of namespace {theirs.namespace!r}, and not of {namespace!r}; if "
                f"that is meant, name it by its run id, {theirs.run_id}"
            )
    newest = max(found, key=lambda each: (each.run.started_at, each.run.run_id))
    [(archived, line)] = archive.read([newest])
    return decode_recording(line, archived.where, codec)


def shown(archived: Archived) -> ArchivedRun:
    """For people."""
    run = archived.run
    return ArchivedRun(
        id=run.workflow_id,
        run_id=run.run_id,
        namespace=run.namespace,
        type=run.type,
        status=run.status,
        started_at=moment(run.started_at),
        closed_at=moment(run.closed_at),
        events=run.last_seq,
        key_id=archived.key_id or None,
        where=archived.where,
    )
