"""Failure: an error on its way between processes and through time.

An exception is described (``describe``), travels as JSON, and is made an exception again (``rebuild``). Invariants:

* Describing never fails, whatever the exception does: ``__str__`` that raises, arguments that are no JSON, causes that
  go in a circle. What cannot be kept is left out; everything is bounded.
* Rebuilding runs no ``__init__``, ``__new__`` or other method written in Python by the class's author: a class may be
  built with other arguments than ``args`` says, and then would wrap its message twice or do something real. The object
  is made by the builtin exception that the class descends from, then gets its attributes; if its text is then another
  than it was, its ``__str__`` is overridden.
* Only ``Exception`` subclasses are rebuilt, found by module and qualified name. Everything else, classes that are not
  to be found and those that cannot be made so, becomes a ``RemoteError`` with the same text.
* A group comes back as a group, but never as one that ``except Exception`` does not catch: a ``BaseExceptionGroup``
  becomes an ``ExceptionGroup`` of that name, whose members that are no ``Exception`` are ``RemoteError``.
* What was left out because there is too much of it is told in a note.
* Only plain JSON data among ``args`` and attributes is kept, since anything else would come back as something else. If
  one of ``args`` is not plain, the message stands for all of them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import msgspec

from keepstep.journal import Error, InvalidInput

from .codec import encode
from .trace import trace_of

TRACEBACK_BYTES_MAX = 16 * 1024
TRACEBACK_FRAMES_MAX = 50
MESSAGE_CHARS_MAX = 8 * 1024
DETAIL_BYTES_MAX = 32 * 1024
CAUSES_MAX = 10
GROUP_MAX = 20
NOTES_MAX = 20
ORIGIN = "Where it was raised:\n"
"""How the note begins that a rebuilt error has of its first traceback."""

FAILURES_MAX = 50
"""All causes and members of groups of one failure together."""


class RemoteError(Error):
    """Stands for an error whose class is not to be found here."""

    def __init__(self, type_name: str, message: str) -> None:
        super().__init__(type_name, message)
        self.type_name = type_name
        self.message = message

    def __str__(self) -> str:
        return f"{self.type_name}: {self.message}" if self.message else self.type_name


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error as data. The member names are the wire form."""

    type: str
    """The qualified name of the class in its module."""
    module: str
    message: str
    traceback: str = ""
    args: list[Any] | None = None
    """The exception's ``args`` if all of them are plain JSON data."""
    attributes: dict[str, Any] = {}
    notes: list[str] = []
    cause: Failure | None = None
    context: bool = False
    """True if ``cause`` was the exception being handled rather than one named with ``from``."""
    exceptions: list[Failure] = []
    """The members of an exception group."""
    handled: Failure | None = None
    """The exception being handled, where ``cause`` is another one that was named with ``from``."""

    def summary(self) -> str:
        """Type and message, in one line."""
        first = self.message.strip().partition("\n")[0]
        return f"{self.type}: {first}" if first else self.type


_decode = msgspec.json.Decoder(Failure).decode


def describe(error: BaseException) -> Failure:
    """An exception as data, with its causes. Never raises."""
    return _Description().of(error, 0)


class _Description:
    """One walk through an exception, its causes and groups, each visited once."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def of(self, error: BaseException, depth: int) -> Failure:
        self._seen.add(id(error))
        kind = type(error)
        cause, is_context = _cause_of(error)
        handled = None if is_context or error.__context__ is cause else error.__context__
        notes = _notes(error)
        told = self._told(cause, depth, notes, "its cause was left out, as the chain is too long")
        members = self._members(error, depth, notes)
        if isinstance(error, RemoteError):  # passed on as what it stands for
            module, _, name = error.type_name.rpartition(".")
            message = error.message
        else:
            module, name, message = str(kind.__module__), kind.__qualname__, _message(error)
        return Failure(
            type=_text(name),
            module=_text(module),
            message=_text(message)[:MESSAGE_CHARS_MAX],
            traceback=_traceback(error),
            args=None if isinstance(error, RemoteError) else _plain_args(error),
            attributes={} if isinstance(error, RemoteError) else _plain_attributes(error),
            notes=notes,
            cause=told,
            context=is_context,
            exceptions=members,
            handled=self._told(handled, depth, notes, "what was being handled was left out") if told else None,
        )

    def _told(self, error: BaseException | None, depth: int, notes: list[str], otherwise: str) -> Failure | None:
        """An error that another one hangs on, or a note why it is missing. One that was told before is just left."""
        if error is None or id(error) in self._seen:
            return None
        if self._goes_on(error, depth):
            return self.of(error, depth + 1)
        notes.append(otherwise)
        return None

    def _members(self, error: BaseException, depth: int, notes: list[str]) -> list[Failure]:
        if not isinstance(error, BaseExceptionGroup):
            return []
        members = [self.of(each, depth + 1) for each in error.exceptions[:GROUP_MAX] if self._goes_on(each, depth)]
        missing = len(error.exceptions) - len(members)
        if missing:
            notes.append(f"{missing} of the group's {len(error.exceptions)} errors were left out")
        return members

    def _goes_on(self, error: BaseException, depth: int) -> bool:
        return depth + 1 < CAUSES_MAX and id(error) not in self._seen and len(self._seen) < FAILURES_MAX


def _cause_of(error: BaseException) -> tuple[BaseException | None, bool]:
    if error.__cause__ is not None:
        return error.__cause__, False
    if error.__context__ is not None and not error.__suppress_context__:
        return error.__context__, True
    return None, False


def _message(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return error.message
    try:
        return str(error)
    except Exception as fault:
        return f"<str() of the error failed with {type(fault).__name__}>"


def _text(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _traceback(error: BaseException) -> str:
    """Where the error was raised first: the end of the traceback, which says most, in at most so many bytes."""
    for note in _raw_notes(error):
        if note.startswith(ORIGIN):  # it was rebuilt here, and is now going on
            return note.removeprefix(ORIGIN)
    try:
        data = trace_of(error, TRACEBACK_FRAMES_MAX).encode(errors="backslashreplace")
    except Exception:  # the error's own attributes can break the formatting
        return ""
    if len(data) <= TRACEBACK_BYTES_MAX:
        return data.decode()
    return "…\n" + data[-TRACEBACK_BYTES_MAX + 8 :].decode(errors="ignore")


_ATOMS = frozenset({str, int, float, bool, type(None)})


def _is_plain(value: Any, depth: int = 0) -> bool:
    kind = type(value)
    if kind in _ATOMS:
        return True
    if depth > 20:
        return False
    if kind is list:
        return all(_is_plain(item, depth + 1) for item in value)
    return kind is dict and all(type(key) is str and _is_plain(item, depth + 1) for key, item in value.items())


def _is_kept(value: Any) -> bool:
    """True for plain JSON data that can be written and is not too large."""
    try:
        return _is_plain(value) and len(encode(value)) <= DETAIL_BYTES_MAX
    except InvalidInput:  # NaN, lone surrogates
        return False


def _plain_args(error: BaseException) -> list[Any] | None:
    if isinstance(error, BaseExceptionGroup):
        return None
    # An OSError keeps the names of files out of ``args``; only its own way to be copied tells all of them.
    args = list(OSError.__reduce__(error)[1] if isinstance(error, OSError) else error.args)
    return args if _is_kept(args) else None


def _plain_attributes(error: BaseException) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in getattr(error, "__dict__", {}).items():
        if name != "__notes__" and isinstance(name, str) and _is_kept({name: value}):
            kept[name] = value
    return kept if _is_kept(kept) else {}


def _raw_notes(error: BaseException) -> list[str]:
    notes = getattr(error, "__notes__", ())
    return [note for note in notes if isinstance(note, str)] if isinstance(notes, (list, tuple)) else []


def _notes(error: BaseException) -> list[str]:
    notes = [note for note in _raw_notes(error) if not note.startswith(ORIGIN)]
    return [_text(note)[:MESSAGE_CHARS_MAX] for note in notes[:NOTES_MAX]]


def encode_failure(failure: Failure) -> bytes:
    """A failure as JSON."""
    return msgspec.json.encode(failure)


def decode_failure(data: bytes) -> Failure:
    """A failure from its JSON. Raises ``InvalidInput`` if it is none."""
    try:
        return _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"this is not the description of an error: {error}") from error


def rebuild(failure: Failure) -> BaseException:
    """The exception that the failure describes, as far as it can be made again; never raises."""
    error = _rebuild_one(failure)
    for note in failure.notes:
        error.add_note(note)
    if failure.traceback:
        error.add_note(ORIGIN + failure.traceback)
    if failure.cause is not None:
        cause = rebuild(failure.cause)
        if failure.context:
            error.__context__ = cause
        else:
            error.__cause__ = cause
    if failure.handled is not None:
        error.__context__ = rebuild(failure.handled)
    return error


def _rebuild_one(failure: Failure) -> BaseException:
    kind = find_exception_class(failure.module, failure.type) or _catchable_group(failure)
    if kind is not None:
        try:
            error = _make_group(kind, failure) if issubclass(kind, ExceptionGroup) else _make(kind, failure)
            if _text(_message(error))[:MESSAGE_CHARS_MAX] == failure.message or issubclass(kind, ExceptionGroup):
                return error
            return _make(_saying(kind, failure.message), failure)
        except Exception:  # cannot be made so; its name and message still say what happened
            pass
    return RemoteError(f"{failure.module}.{failure.type}".lstrip("."), failure.message)


def _make(kind: type[Exception], failure: Failure) -> Exception:
    args = tuple(failure.args) if failure.args is not None else (failure.message,)
    builtin: Any = next(base for base in kind.__mro__ if not base.__flags__ & _HEAP_TYPE)
    error: Exception = builtin.__new__(kind, *args)
    builtin.__init__(error, *args)
    error.__dict__.update(failure.attributes)
    return error


def _saying(kind: type[Exception], message: str) -> type[Exception]:
    """A subclass that says what the original said, where the class's own ``__str__`` cannot."""
    names = {"__str__": lambda _: message, "__module__": kind.__module__, "__qualname__": kind.__qualname__}
    return type(kind.__name__, (kind,), names)


_HEAP_TYPE = 1 << 9
"""Py_TPFLAGS_HEAPTYPE: set for classes made by a ``class`` statement."""


def _catchable_group(failure: Failure) -> type[Exception] | None:
    """For a group of a class that is not found, or is no ``Exception``: one of its name that is."""
    if not failure.exceptions:
        return None
    names = {"__module__": failure.module, "__qualname__": failure.type, "derive": _derive_plainly}
    return type(failure.type.rpartition(".")[2], (ExceptionGroup,), names)


def _derive_plainly(group: ExceptionGroup[Exception], members: Sequence[Exception]) -> ExceptionGroup[Exception]:
    """What ``except*`` and ``split`` make of a part of the group."""
    return ExceptionGroup(group.message, members)


def _make_group(kind: type[ExceptionGroup[Exception]], failure: Failure) -> Exception:
    members = [rebuild(member) for member in failure.exceptions]
    error = ExceptionGroup.__new__(kind, failure.message, [m for m in members if isinstance(m, Exception)])
    error.__dict__.update(failure.attributes)
    return error


def find_exception_class(module: str, name: str) -> type[Exception] | None:
    """The ``Exception`` subclass of that qualified name, its module imported if need be; None if there is none."""
    found: Any = sys.modules.get(module) or _import(module)
    holder: type[ModuleType] | type[type] = ModuleType
    for step in name.split("."):
        if not isinstance(found, holder):
            return None
        found, holder = vars(found).get(step), type
    return found if isinstance(found, type) and issubclass(found, Exception) else None


def _import(module: str) -> ModuleType | None:
    if not all(part.isidentifier() for part in module.split(".")):
        return None
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit):  # whatever the module does when it is imported here
        return None
