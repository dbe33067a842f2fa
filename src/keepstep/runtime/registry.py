"""Registry: everything decorated in this process, by kind and name. Workers serve all of it."""

from __future__ import annotations

import inspect
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from keepstep.journal import InvalidInput

from .code_version import order_of, split_queue
from .data import checked_name

if TYPE_CHECKING:
    from .step import Step
    from .workflow import Workflow

DEFINITION = "__keepstep_workflow__"
"""The attribute of a workflow class that holds its definition."""

ANY = "*"
"""The name of what serves every name that nothing else of its kind serves."""

_definitions: defaultdict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
"""By kind, name and version, which steps and most workflows have none of."""

_listed: dict[str, tuple[Any, ...]] = {}
"""All of a kind, in order, as long as none of them changes: workers ask for it whenever they look for work."""


def register(definition: Any) -> None:
    """Make a definition known. Two of one kind and name are refused, unless they are different versions of a workflow.

    A module that is loaded again, and functions defined inside of functions, replace what they defined before.
    """
    checked_name(definition.name, f"the name of a {definition.__keepstep__}")
    kind, name, version = definition.__keepstep__, definition.name, getattr(definition, "version", "")
    versions = _definitions[kind].get(name, {})
    known = versions.get(version) or _other_version(versions, version)
    if known is not None and not _same_place(known, definition):
        raise InvalidInput(
            f"two {kind}s are named {name!r}: {known.__module__}.{known.__qualname__} and "
            f"{definition.__module__}.{definition.__qualname__}; give one of them name=..."
        )
    _definitions[kind].setdefault(name, {})[version] = definition
    _listed.pop(kind, None)


def _other_version(versions: Mapping[str, Any], version: str) -> Any:
    """A definition of that name that is none of several versions; where this one has no version, any of that name."""
    return next((each for its, each in versions.items() if not (version and its)), None)


def forget(kind: str, name: str) -> None:
    """Take a definition back, in all its versions, as when a module is replaced by another one."""
    _definitions[kind].pop(name, None)
    _listed.pop(kind, None)


def forget_all() -> None:
    """Take every definition back, as in a process that has imported nothing yet."""
    _definitions.clear()
    _listed.clear()


@contextmanager
def emptied() -> Iterator[None]:
    """Nothing is defined, as in a new process, until this ends; then all is as it was. For tests that deploy code."""
    kept = dict(_definitions)
    forget_all()
    try:
        yield
    finally:
        forget_all()
        _definitions.update(kept)


def names_around(function: Callable[..., Any]) -> Mapping[str, Any] | None:
    """The local names of the place where a function or class inside a function is decorated; annotations use them."""
    if "<locals>" not in function.__qualname__:
        return None
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("keepstep.runtime"):
        frame = frame.f_back
    return dict(frame.f_locals)


def check_no_method(function: Callable[..., Any], kind: str, instead: str) -> None:
    """Raises ``InvalidInput`` for a function of a class that takes ``self``, which nobody would hand to it."""
    around, _, name = function.__qualname__.rpartition(".")
    is_inside_class = inspect.isfunction(function) and bool(around) and not around.endswith("<locals>")
    if is_inside_class and next(iter(inspect.signature(function).parameters), "") in ("self", "cls"):
        raise InvalidInput(f"@{kind} goes on a function, and {around}.{name} is a method; {instead}")


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
    """The workflow of that name, if this process has it; of several versions the newest. Else that of any name."""
    versions = _definitions["workflow"].get(name)
    found: Workflow[Any, Any] | None
    if versions:
        found = versions.get("") or max(versions.values(), key=lambda each: order_of(each.version))
    else:
        found = _named(_definitions["workflow"].get(ANY, {}).get(""), name)
    return found


def _named(of_any: Any, name: str) -> Any:
    return None if of_any is None else of_any.named(name)


def find_version(name: str, version: str) -> Workflow[Any, Any] | None:
    """The newest code of that workflow that runs which stay with that version can go on with."""
    fitting = [each for each in _definitions["workflow"].get(name, {}).values() if each.runs_version(version)]
    return max(fitting, key=lambda each: order_of(each.version), default=None)


def find_code(name: str, queue: str) -> Workflow[Any, Any] | None:
    """The code for a run of that workflow which is offered on that queue."""
    version = split_queue(queue, name)[1]
    return find_workflow(name) if version is None else find_version(name, version)


def check_takes_name(definition: Any, function: Callable[..., Any], skip_first: int = 0) -> None:
    """Raises ``InvalidInput`` for the function of a definition of any name that has no first parameter for it."""
    first = list(inspect.signature(function).parameters.values())[skip_first : skip_first + 1]
    if not first or first[0].kind not in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD):
        before = "self, " if skip_first else ""
        raise InvalidInput(
            f"{function.__qualname__} serves every {definition.__keepstep__} that nothing else serves, and must take "
            f"its name: def {function.__name__}({before}name: str, ...)"
        )


def check_has_name(definition: Any) -> None:
    """Raises ``InvalidInput`` for a definition of any name where one is needed."""
    if definition.name == ANY:
        raise InvalidInput(
            f"{definition.__qualname__} serves every {definition.__keepstep__} that nothing else serves; say the name "
            f"of one: keepstep.{definition.__keepstep__}_by_name(...)"
        )


def definition_of(workflow: Any) -> Workflow[Any, Any] | None:
    """The definition of a decorated function or class, or None for what is neither."""
    found: Any = vars(workflow).get(DEFINITION) if isinstance(workflow, type) else workflow
    return found if getattr(found, "__keepstep__", "") == "workflow" else None


def find_step(name: str) -> Step[Any, Any] | None:
    """The step of that name, if this process has it; else that of any name."""
    known = _definitions["step"].get(name, {}).get("")
    found: Step[Any, Any] | None = known or _named(_definitions["step"].get(ANY, {}).get(""), name)
    return found


def workflows() -> tuple[Workflow[Any, Any], ...]:
    """All workflows of this process, in all versions, older ones first; the same tuple until one is added."""
    return _list("workflow", lambda each: (each.name, order_of(each.version)))


def steps() -> tuple[Step[Any, Any], ...]:
    """All steps of this process."""
    return _list("step", lambda each: each.name)


def _list(kind: str, order: Callable[[Any], Any]) -> tuple[Any, ...]:
    if kind not in _listed:
        found = (each for versions in _definitions[kind].values() for each in versions.values())
        _listed[kind] = tuple(sorted(found, key=order))
    return _listed[kind]
