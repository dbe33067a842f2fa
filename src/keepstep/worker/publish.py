"""Publish: what this process serves, told to clients so that they can check names and inputs."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import msgspec

from keepstep.journal import Definition, LeaseState, is_surely_dead
from keepstep.runtime.code_version import order_of, pinned_queue
from keepstep.runtime.data.schema import DOC_CHARS_MAX
from keepstep.runtime.received import received_by
from keepstep.runtime.registry import steps, workflows
from keepstep.runtime.workflow import Workflow

SOURCES_KEPT_MAX = 4096
"""Functions whose source is kept: finding it means reading and parsing its file."""

SCHEMAS_KEPT_MAX = 4096
"""Workflows and steps whose schema is kept, for the next worker that is started here."""


def definitions_of(namespace: str, now: int, served_workflows: Iterable[Workflow[Any, Any]]) -> list[Definition]:
    """The workflows that a worker serves, and all steps of this process."""
    code = code_fingerprint()
    served: list[Any] = [*served_workflows, *steps()]
    return [
        Definition(
            namespace=namespace,
            language="python",
            kind=each.__keepstep__,
            name=each.name,
            queue=_queue_of(each),
            schema=_encoded_schema_of(each),
            code=code,
            published_at=now,
        )
        for each in served
    ]


@lru_cache(maxsize=SCHEMAS_KEPT_MAX)
def _encoded_schema_of(definition: Any) -> bytes:
    return msgspec.json.encode(_schema_of(definition))


def _schema_of(definition: Any) -> dict[str, Any]:
    schema: dict[str, Any] = definition.signature.schema()
    if definition.__keepstep__ == "workflow":
        if definition.timeout_seconds is not None:
            schema["timeout_seconds"] = definition.timeout_seconds
        if definition.version:
            schema["version"] = definition.version
        if definition.cls is not None:
            schema["handlers"] = definition.handlers.schema()
            schema["doc"] = schema["doc"] or inspect.cleandoc(definition.cls.__doc__ or "")[:DOC_CHARS_MAX]
        if definition.is_pinned:
            schema["pinned"] = True
        if received := _received(definition.__wrapped__, definition.fn):
            schema["receives"] = received
    return schema


def version_of(definition: Definition) -> tuple[str, bool]:
    """The version of a published workflow's code, and whether runs stay with it."""
    schema = msgspec.json.decode(definition.schema)
    return schema.get("version", ""), schema.get("pinned", False)


def not_superseded(
    mine: Iterable[Definition], published: Iterable[Definition], leases: Iterable[LeaseState]
) -> list[Definition]:
    """Without the older versions of workflows of which a newer one is published, and is served by a living worker.

    A worker of an older version that is restarted in the middle of a deploy would otherwise say that new runs which
    are started by name get its version. After a rollback nobody serves the newer one, and it does say so.
    """
    served = {queue for each in leases if not is_surely_dead(each.lease.process) for queue in each.lease.queues}
    newer = {each.name: each for each in published if each.kind == "workflow" and _is_served(each, served)}
    return [each for each in mine if each.kind != "workflow" or not _is_older(each, newer.get(each.name))]


def _is_served(definition: Definition, served: set[str]) -> bool:
    version, is_pinned = version_of(definition)
    return is_pinned and pinned_queue(definition.queue, definition.name, version) in served


def _is_older(mine: Definition, other: Definition | None) -> bool:
    version = version_of(mine)[0]
    return other is not None and version != "" and order_of(version) < order_of(version_of(other)[0])


def _queue_of(definition: Any) -> str:
    return definition.queue if definition.__keepstep__ == "workflow" else definition.run_options.queue or ""


def code_fingerprint() -> str:
    """A name for the code of all workflows and steps here: it changes when one of their sources does."""
    digest = hashlib.blake2b(digest_size=8)
    served: list[Any] = [*workflows(), *steps()]
    for each in served:
        digest.update(each.name.encode())
        digest.update(_source(each.__wrapped__))
    return digest.hexdigest()


@lru_cache(SOURCES_KEPT_MAX)
def _received(decorated: Any, function: Any) -> dict[str, dict[str, Any]]:
    return received_by(_source(decorated).decode(errors="replace"), function)


@lru_cache(SOURCES_KEPT_MAX)
def _source(function: Any) -> bytes:
    try:
        return inspect.getsource(function).encode()
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        return b"" if code is None else bytes(code.co_code)
