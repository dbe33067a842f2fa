"""Registry: everything decorated in this process, by kind and name. Workers serve all of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from keepstep.journal import InvalidInput

from .data import checked_name

if TYPE_CHECKING:
    from .step import Step
    from .workflow import Workflow

DEFINITION = "__keepstep_workflow__"
"""The attribute of a workflow class that holds its definition."""

_definitions: dict[tuple[str, str], Any] = {}


def register(definition: Any) -> None:
    """Make a definition known. Two of one kind and name are refused.

    A module that is loaded again, and functions defined inside of functions, replace what they defined before.
    """
    checked_name(definition.name, f"the name of a {definition.__keepstep__}")
    key = (definition.__keepstep__, definition.name)
    known = _definitions.get(key)
    if known is not None and not _same_place(known, definition):
        raise InvalidInput(
            f"two {key[0]}s are named {key[1]!r}: {known.__module__}.{known.__qualname__} and "
            f"{definition.__module__}.{definition.__qualname__}; give one of them name=..."
        )
    _definitions[key] = definition


def forget(kind: str, name: str) -> None:
    """Take a definition back, as when a module is replaced by another one."""
    _definitions.pop((kind, name), None)


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
    code = getattr(definition.__wrapped__, "__code__", None)
    return code.co_filename if code is not None else ""


def find_workflow(name: str) -> Workflow[Any, Any] | None:
    """The workflow of that name, if this process has it."""
    return _definitions.get(("workflow", name))


def definition_of(workflow: Any) -> Workflow[Any, Any] | None:
    """The definition of a decorated function or class, or None for what is neither."""
    found: Any = vars(workflow).get(DEFINITION) if isinstance(workflow, type) else workflow
    return found if getattr(found, "__keepstep__", "") == "workflow" else None


def find_step(name: str) -> Step[Any, Any] | None:
    """The step of that name, if this process has it."""
    return _definitions.get(("step", name))


def workflows() -> Iterator[Workflow[Any, Any]]:
    """All workflows of this process."""
    return (each for (kind, _), each in sorted(_definitions.items()) if kind == "workflow")


def steps() -> Iterator[Step[Any, Any]]:
    """All steps of this process."""
    return (each for (kind, _), each in sorted(_definitions.items()) if kind == "step")
