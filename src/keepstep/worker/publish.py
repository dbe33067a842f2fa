"""Publish: what this process serves, told to clients so that they can check names and inputs."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import msgspec

from keepstep.journal import Definition
from keepstep.runtime.registry import steps, workflows
from keepstep.runtime.workflow import Workflow

SOURCES_KEPT_MAX = 4096
"""Functions whose source is kept: finding it means reading and parsing its file."""


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
            schema=msgspec.json.encode(_schema_of(each)),
            code=code,
            published_at=now,
        )
        for each in served
    ]


def _schema_of(definition: Any) -> dict[str, Any]:
    schema: dict[str, Any] = definition.signature.schema()
    if definition.__keepstep__ == "workflow":
        if definition.timeout_seconds is not None:
            schema["timeout_seconds"] = definition.timeout_seconds
        if definition.version:
            schema["version"] = definition.version
        if definition.cls is not None:
            schema["handlers"] = definition.handlers.schema()
    return schema


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
def _source(function: Any) -> bytes:
    try:
        return inspect.getsource(function).encode()
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        return b"" if code is None else bytes(code.co_code)
