"""Registry: everything decorated in this process, by kind and name. Workers serve all of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from keepstep.journal import InvalidInput

from .code_version import order_of, split_queue
from .data import checked_name

if TYPE_CHECKING:
    from .step import Step
    from .workflow import Workflow

DEFINITION = "__keepstep_workflow__"
"""The attribute of a workflow class that holds its definition."""

_definitions: dict[tuple[str, str, str], Any] = {}
"""By kind, name and version, which steps and most workflows have none of."""


def register(definition: Any) -> None:
    """Make a definition known. Two of one kind and name are refused, unless they are different versions of a workflow.

    A module that is loaded again, and functions defined inside of functions, replace what they defined before.
    """
    checked_name(definition.name, f"the name of a {definition.__keepstep__}")
    version = getattr(definition, "version", "")
    key = (definition.__keepstep__, definition.name, version)
    known = _definitions.get(key) or _other_version(*key)
    if known is not None and not _same_place(known, definition):
        raise InvalidInput(
            f"two {key[0]}s are named {key[1]!r}: {known.__module__}.{known.__qualname__} and "
            f"{definition.__module__}.{definition.__qualname__}; give one of them name=..."
        )
    _definitions[key] = definition


def _other_version(kind: str, name: str, version: str) -> Any:
    """A definition of that name that is none of several versions; where this one has no version, any of that name."""
    named = (each for (its_kind, its_name, _), each in _definitions.items() if (its_kind, its_name) == (kind, name))
    return next((each for each in named if not (version and each.version)), None) if kind == "workflow" else None


def forget(kind: str, name: str) -> None:
    """Take a definition back, in all its versions, as when a module is replaced by another one."""
    for key in [each for each in _definitions if each[:2] == (kind, name)]:
        del _definitions[key]


def names_around(function: Callable[..., Any]) -> Mapping[str, Any] | None:
    """The local names of the place where a function or class inside a function is decorated; annotations use them."""
    if "<locals>" not in function.__qualname__:
        return None
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("keepstep.runtime"):
        frame = frame.f_back
    return dict(frame.f_locals)


def _same_place(known: Any, new: Any) -> bool:
    if "<locals>" in known.__qualname__:
        return True
    if known.__qualname__ != new.__qualname__:
        return False
    return known.__module__ == new.__module__ or _file_of(known) == _file_of(new)


def _file_of(definition: Any) -> str:
    code = getattr(definition.fn, "__code__", None)  # of a class, the code of its run
    return code.co_filename if code is not None else ""


def find_workflow(name: str) -> Workflow[Any, Any] | None:
    """The workflow of that name, if this process has it; of several versions the newest."""
    single = _definitions.get(("workflow", name, ""))
    return single if single is not None else max(_versions(name), key=lambda each: order_of(each.version), default=None)


def find_version(name: str, version: str) -> Workflow[Any, Any] | None:
    """The newest code of that workflow that runs which stay with that version can go on with."""
    fitting = [each for each in _versions(name) if each.runs_version(version)]
    return max(fitting, key=lambda each: order_of(each.version), default=None)


def find_code(name: str, queue: str) -> Workflow[Any, Any] | None:
    """The code for a run of that workflow which is offered on that queue."""
    version = split_queue(queue, name)[1]
    return find_workflow(name) if version is None else find_version(name, version)


def _versions(name: str) -> list[Workflow[Any, Any]]:
    return [each for (kind, its_name, _), each in _definitions.items() if (kind, its_name) == ("workflow", name)]


def definition_of(workflow: Any) -> Workflow[Any, Any] | None:
    """The definition of a decorated function or class, or None for what is neither."""
    found: Any = vars(workflow).get(DEFINITION) if isinstance(workflow, type) else workflow
    return found if getattr(found, "__keepstep__", "") == "workflow" else None


def find_step(name: str) -> Step[Any, Any] | None:
    """The step of that name, if this process has it."""
    return _definitions.get(("step", name, ""))


def workflows() -> Iterator[Workflow[Any, Any]]:
    """All workflows of this process, in all versions, older ones first."""
    found = [each for (kind, _, _), each in _definitions.items() if kind == "workflow"]
    return iter(sorted(found, key=lambda each: (each.name, order_of(each.version))))


def steps() -> Iterator[Step[Any, Any]]:
    """All steps of this process."""
    return (each for (kind, _, _), each in sorted(_definitions.items()) if kind == "step")
