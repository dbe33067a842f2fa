"""The static half of the guard: read a workflow's bytecode, and that of the user's functions it leads to.

Followed are plain Python functions of the user's own code, by global name, module attribute, closure, or as methods of
classes that are known: those in the workflow's top-level package or below the folder of its file, never the standard
library or an installed package. Steps and other workflows (whatever has ``__keepstep__``) are not followed and not
flagged: a step may do anything.

Names are resolved as they stand at the time of the scan; nothing is imported and no user code runs. A name that is not
defined yet is passed over, therefore the worker scans once more at its start.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import BuiltinMethodType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from .bytecode import Report, Scope, parameters, walk
from .catalogue import ABSENT, CALLED, LASTING_GENERATOR, USED, Catalogue, Entry
from .factory import Field, factories_run
from .nondeterminism import Finding, Nondeterminism
from .origin import is_library, is_ours
from .thing import UNKNOWN, Thing, attribute, from_object, function_in
from .unsafe import unsafe

FUNCTIONS_MAX = 400
DEPTH_MAX = 12
FINDINGS_MAX = 10
WRAPPERS_MAX = 8

_catalogue = Catalogue()


def scan(function: object) -> None:
    """Raise `Nondeterminism` if a workflow function or class uses what would differ at replay.

    Called when ``@workflow`` decorates. What is decorated may be a function, a class (all its methods are read), or an
    object with ``__wrapped__``.
    """
    findings = _Scan(function).findings()
    if findings:
        raise Nondeterminism(*findings)


_modules_when_scanned: WeakKeyDictionary[object, int] = WeakKeyDictionary()
"""How many modules were imported when a function was last scanned again."""


def scan_again(function: object) -> None:
    """The same, once every module is imported: names that were not defined at decoration are found now.

    Every worker of a process asks for it; only further modules can make the answer another one.
    """
    modules = len(sys.modules)
    if _modules_when_scanned.get(function) != modules:
        scan(function)
        _modules_when_scanned[function] = modules


@dataclass(frozen=True, slots=True)
class _Visit:
    function: FunctionType
    via: tuple[str, ...]
    cls: type | None = None  # the class that the first parameter is an instance of


class _Scan:
    def __init__(self, root: object) -> None:
        _catalogue.refresh()
        self.own = _own_code(root)
        self.seen: set[CodeType] = set()
        self.found: dict[tuple[str, int, str], Finding] = {}
        self.waiting = deque(_first_visits(root))

    def findings(self) -> list[Finding]:
        while self.waiting and len(self.seen) < FUNCTIONS_MAX and len(self.found) < FINDINGS_MAX:
            visit = self.waiting.popleft()
            if visit.function.__code__ not in self.seen:
                self.seen.add(visit.function.__code__)
                _Reading(self, visit).read()
        return list(self.found.values())

    def flag(self, visit: _Visit, line: int, used: str, instead: str) -> None:
        file = visit.function.__code__.co_filename
        finding = Finding(file, line, used.removeprefix("builtins."), instead, visit.via)
        self.found.setdefault((file, line, finding.used), finding)

    def follow(self, visit: _Visit, function: FunctionType, cls: type | None) -> None:
        if len(visit.via) < DEPTH_MAX and self.own(function) and not _is_keepstep(function):
            self.waiting.append(_Visit(function, (*visit.via, function.__qualname__), cls))


class _Reading:
    """One function being read."""

    def __init__(self, scan: _Scan, visit: _Visit) -> None:
        self.scan = scan
        self.visit = visit
        self.globals = visit.function.__globals__
        function: Any = visit.function
        self.builtins: dict[str, object] = function.__builtins__

    def read(self) -> None:
        function = self.visit.function
        scope = Scope(self.lookup, str(self.globals.get("__package__") or ""), self.variables())
        walk(function.__code__, scope, Report(self.mentioned, self.called, _result, _opens_unsafe))

    def lookup(self, name: str) -> Thing:
        found = self.globals.get(name, ABSENT)
        if found is ABSENT:
            found = self.builtins.get(name, ABSENT)
            return UNKNOWN if found is ABSENT else from_object(found, f"builtins.{name}")
        return from_object(found)

    def variables(self) -> dict[str, Thing]:
        """What closure and parameters are known to hold; an annotated parameter is an instance of that class."""
        function = self.visit.function
        known: dict[str, Thing] = dict.fromkeys(parameters(function.__code__), UNKNOWN)
        for name, annotation in _annotations(function).items():
            cls = annotation if isinstance(annotation, type) else self._dotted(annotation)
            if name in known and isinstance(cls, type):
                known[name] = Thing(of=cls)
        if self.visit.cls is not None and function.__code__.co_argcount:
            known[function.__code__.co_varnames[0]] = Thing(of=self.visit.cls)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
            try:
                known[name] = from_object(cell.cell_contents)
            except ValueError:  # not assigned yet, as a function's own name while it is being decorated
                known[name] = UNKNOWN
        return known

    def _dotted(self, annotation: object) -> object:
        if not isinstance(annotation, str) or not annotation.replace(".", "").isidentifier():
            return ABSENT
        first, *rest = annotation.split(".")
        thing = self.lookup(first)
        for part in rest:
            thing = attribute(thing, part)
        return thing.held

    def mentioned(self, thing: Thing, line: int) -> None:
        if _is_keepstep(thing.held):
            return
        entry = _entry(thing)
        if entry is not None and entry.when == USED:
            self.scan.flag(self.visit, line, entry.name, entry.instead)
            return
        owner = _entry_of_instance(thing)
        if owner is not None:
            self.scan.flag(self.visit, line, f"{owner.name}.{thing.path.rpartition('.')[2]}", owner.instead)
            return
        function = function_in(thing.held)
        for _ in range(WRAPPERS_MAX):  # a library's wrapper, as ``contextmanager`` makes one, is not followed itself
            if function is None:
                break
            self.scan.follow(self.visit, function, _receiver(thing))
            function = function_in(vars(function).get("__wrapped__"))

    def called(self, thing: Thing, count: int, keywords: frozenset[str], line: int) -> None:
        entry = _entry(thing)
        if entry is not None and entry.when >= count:
            self.scan.flag(self.visit, line, entry.name, entry.instead)
        elif isinstance(thing.held, type) and not _is_keepstep(thing.held):
            for name in ("__new__", "__init__", "__post_init__"):
                function = function_in(vars(thing.held).get(name))
                # Written code only: what a dataclass generates mentions every default factory, also those not used.
                if function is not None and not function.__code__.co_filename.startswith("<"):
                    self.scan.follow(self.visit, function, thing.held)
            for field in factories_run(thing.held, count - len(keywords), keywords):
                self.filled(thing.held, field, line)

    def filled(self, cls: type, field: Field, line: int) -> None:
        """A field is filled by its factory, because the call leaves it out."""
        made = from_object(field.factory)
        entry = _entry(made)
        if entry is not None:
            used = f"{entry.name} as the default of {cls.__qualname__}.{min(field.names)}"
            self.scan.flag(self.visit, line, used, entry.instead)
        elif (function := function_in(made.held)) is not None:
            self.scan.follow(self.visit, function, None)


def _entry(thing: Thing) -> Entry | None:
    entry = _catalogue.named(thing.path) if thing.path else None
    if entry is None and thing.held is not ABSENT:
        entry = _catalogue.holding(thing.held) or _entry_of_bound(thing.held)
    return entry


def _entry_of_bound(held: object) -> Entry | None:
    """``now = datetime.now`` makes a new bound object each time: look at what it is bound to."""
    owner = getattr(held, "__self__", None) if isinstance(held, (BuiltinMethodType, MethodType)) else None
    if owner is None or isinstance(owner, ModuleType):
        return None
    thing = attribute(from_object(owner), getattr(held, "__name__", ""))
    return _catalogue.named(thing.path) or _catalogue.holding(thing.held) or _entry_of_instance(thing)


def _entry_of_instance(thing: Thing) -> Entry | None:
    """An entry for the class, if the thing is a public method of an instance of a class that must not be called."""
    if thing.owner is ABSENT or not callable(thing.held) or thing.path.rpartition(".")[2].startswith("_"):
        return None
    if isinstance(thing.owner, random.Random):
        return LASTING_GENERATOR  # a generator that outlives the run: its state differs at replay
    cls = thing.owner if isinstance(thing.owner, type) else type(thing.owner)
    for base in cls.__mro__:
        entry = _catalogue.holding(base)
        if entry is not None and entry.when == CALLED:
            return entry
    return None


def _receiver(thing: Thing) -> type | None:
    if thing.owner is ABSENT or isinstance(thing.held, (staticmethod, classmethod)):
        return None
    return thing.owner if isinstance(thing.owner, type) else type(thing.owner)


_LOOPS: tuple[object, ...] = (asyncio.get_running_loop, asyncio.get_event_loop)


def _result(thing: Thing) -> Thing:
    if isinstance(thing.held, type):
        # What comes out of a class that must not be called is not worth a second finding.
        return Thing(of=thing.held) if _entry(thing) is None else UNKNOWN
    if any(thing.held is maker for maker in _LOOPS):
        return Thing(of=asyncio.AbstractEventLoop)
    return UNKNOWN


def _opens_unsafe(thing: Thing) -> bool:
    return thing.held is unsafe or thing.path == "keepstep.unsafe"


def _is_keepstep(thing: object) -> bool:
    if isinstance(thing, type):
        return any("__keepstep__" in vars(base) for base in thing.__mro__)
    return attribute(from_object(thing), "__keepstep__").held is not ABSENT if thing is not ABSENT else False


def _annotations(function: FunctionType) -> dict[str, object]:
    try:
        return dict(function.__annotations__)
    except NameError:  # evaluated lazily by newer Pythons, and something in it is imported for type checkers only
        return {}


def _unwrap(root: object) -> object:
    for _ in range(8):
        wrapped = attribute(from_object(root), "__wrapped__").held
        if isinstance(root, type) or (isinstance(root, FunctionType) and not _is_keepstep(root)) or wrapped is ABSENT:
            break
        root = wrapped
    return root


def _first_visits(root: object) -> Iterator[_Visit]:
    root = _unwrap(root)
    if not isinstance(root, type):
        function = function_in(root)
        if function is not None:
            yield _Visit(function, (function.__qualname__,))
        return
    for member in vars(root).values():
        function = function_in(member)
        if function is not None and not _is_keepstep(member):
            bound = None if isinstance(member, (staticmethod, classmethod)) else root
            yield _Visit(function, (function.__qualname__,), bound)


def _own_code(root: object) -> Callable[[FunctionType], bool]:
    """Whether a function belongs to the same body of code as the workflow."""
    root = _unwrap(root)
    function = next((visit.function for visit in _first_visits(root)), None)
    module = getattr(root, "__module__", None) or ""
    package = _package(module)
    folder = _folder(function.__code__.co_filename) if function is not None else None

    def own(other: FunctionType) -> bool:
        if function is not None and other.__globals__ is function.__globals__:
            return True
        name = str(other.__globals__.get("__name__", ""))
        if package and _package(name) == package:
            return True
        file = str(other.__globals__.get("__file__", ""))
        return folder is not None and folder in Path(file).parents and not is_library(file) and not is_ours(name)

    return own


def _package(module: str) -> str:
    """The top-level package; for what ships inside Keepstep (its examples) the innermost one."""
    return module.rpartition(".")[0] if module.startswith("keepstep.") else module.partition(".")[0]


def _folder(file: str) -> Path | None:
    return None if file.startswith("<") or is_library(file) else Path(file).parent
