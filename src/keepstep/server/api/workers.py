"""Workers: who is alive, on what code, and with what load; and what they have published."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from keepstep.client.access.role import Role
from keepstep.client.info import moment
from keepstep.client.published import schema_of
from keepstep.journal import Definition, LeaseState, is_surely_dead
from keepstep.server.call import Call
from keepstep.server.dear import read_dear
from keepstep.server.queue_load import OF_GUESTS
from keepstep.server.route import Query, Routes
from keepstep.server.versions import VersionList
from keepstep.server.versions import read_versions as find_versions

routes = Routes("workers")


class WorkerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that has not said goodbye."""

    lease_id: str
    host: str
    pid: int
    label: str
    """The module that it runs."""
    queues: list[str]
    languages: list[str]
    code: str
    """Fingerprint of its code; the same for workers that run the same."""
    opened_at: datetime
    lease_seconds: float
    runs: int
    """That it has in its memory."""
    tasks: int
    probing: str | None
    """A run that may kill workers, which it tries alone."""
    is_dead: bool
    """Its process is gone, as far as can be told from the server's machine; others will take over what it had."""

    @classmethod
    def of(cls, state: LeaseState) -> WorkerInfo:
        lease = state.lease
        return cls(
            lease_id=lease.lease_id,
            host=lease.process.host,
            pid=lease.process.pid,
            label=lease.label,
            queues=[each for each in lease.queues if each not in OF_GUESTS],
            languages=list(lease.languages),
            code=lease.code,
            opened_at=moment(lease.opened_at),
            lease_seconds=lease.lease_seconds,
            runs=state.runs_held,
            tasks=state.tasks_held,
            probing=state.probing,
            is_dead=is_surely_dead(lease.process),
        )


class WorkerList(msgspec.Struct, frozen=True, kw_only=True):
    """Workers that serve queues of the namespace."""

    workers: list[WorkerInfo]


class DefinitionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow or a step, as workers have published it. Schemas are JSON schemas."""

    name: str
    kind: str
    """workflow or step."""
    language: str
    queue: str
    doc: str
    arguments: list[dict[str, Any]]
    """In order; each with its name, whether it is required, and its schema."""
    result: Any
    """Its schema."""
    handlers: dict[str, Any]
    """Of a workflow: signals, queries and updates by name, each with its arguments and its result."""
    receives: dict[str, Any]
    """Of a workflow: schemas of the signals that its code receives by names that are written in it."""
    timeout: float | None
    version: str
    code: str
    published_at: datetime

    @classmethod
    def of(cls, definition: Definition) -> DefinitionInfo:
        schema = schema_of(definition)
        return cls(
            name=definition.name,
            kind=definition.kind,
            language=definition.language,
            queue=definition.queue,
            doc=schema.get("doc") or "",
            arguments=schema.get("arguments", []),
            result=schema.get("result", {}),
            handlers=schema.get("handlers", {}),
            receives=schema.get("receives", {}),
            timeout=schema.get("timeout_seconds"),
            version=schema.get("version") or "",
            code=definition.code,
            published_at=moment(definition.published_at),
        )


class DefinitionList(msgspec.Struct, frozen=True, kw_only=True):
    """By kind and name."""

    definitions: list[DefinitionInfo]


@routes.get("/workers", role=Role.READ)
async def list_workers(call: Call, query: Query) -> WorkerList:
    """List the workers that are alive, or whose death nobody has noticed yet."""
    states = sorted(await call.engine.journal.list_leases(), key=lambda each: each.lease.opened_at)
    return WorkerList(workers=list(map(WorkerInfo.of, states)))


@routes.get("/definitions", role=Role.READ)
async def list_definitions(call: Call, query: Query) -> DefinitionList:
    """List the workflows and steps that workers have published, with the JSON schemas of what they take and give."""
    found = await call.engine.journal.list_definitions(call.engine.namespace)
    return DefinitionList(definitions=sorted(map(DefinitionInfo.of, found), key=lambda each: (each.kind, each.name)))


@routes.get("/versions", role=Role.READ)
async def list_versions(call: Call, query: Query) -> VersionList:
    """List the versions of workflows that open runs need, that new ones get, or that a worker has.

    One that is not needed is safe to retire.
    """
    return await read_dear(call.engine, "versions", find_versions)
