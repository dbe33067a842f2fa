"""Recording: what clients called and were answered, as lines that outlive the process that wrote them.

A call is recorded before it is made and its answer after it was given, so that the recorded interval contains the
true one. A killed process leaves calls without answers, and perhaps half a line.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from .operation import READS, Answer, Call, Operation


class Called(msgspec.Struct, frozen=True, tag="called"):
    """A client is about to call. ``number`` is the client's own count."""

    client: str
    number: int
    subject: str
    call: Call
    moment: int


class Answered(msgspec.Struct, frozen=True, tag="answered"):
    """The call of that number was answered."""

    client: str
    number: int
    answer: Answer
    moment: int


Line = Called | Answered

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Line).decode


class Recorder:
    """Notes calls and answers of all clients of a process."""

    def __init__(self, write: Callable[[Line], None], moment: Callable[[], int]) -> None:
        self._write = write
        self._moment = moment
        self._calls = 0

    def call(self, client: str, subject: str, call: Call) -> int:
        """Note a call; returns the number under which its answer is to be noted."""
        self._calls += 1
        self._write(Called(client, self._calls, subject, call, self._moment()))
        return self._calls

    def answer(self, client: str, number: int, answer: Answer) -> None:
        """Note an answer."""
        self._write(Answered(client, number, answer, self._moment()))


def appending_to(path: Path) -> Callable[[Line], None]:
    """Writes lines to a file, each in one system call: what was written survives SIGKILL."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    return lambda line: _write_all(file, _encode(line) + b"\n")


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def save_history(path: Path, lines: Iterable[Line]) -> None:
    """Keep a history to be looked at, or checked again."""
    path.write_bytes(b"".join(_encode(line) + b"\n" for line in lines))


def read_lines(path: Path) -> list[Line]:
    """What was recorded to a file; a last line that was cut off is left out."""
    complete = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [_decode(line) for line in complete]


def operations_of(lines: Iterable[Line]) -> list[Operation]:
    """Calls with their answers, in the order of their calls. Reads without an answer say nothing and are left out."""
    called: dict[tuple[str, int], Called] = {}
    answered: dict[tuple[str, int], Answered] = {}
    for line in lines:
        if isinstance(line, Called):
            called[line.client, line.number] = line
        else:
            answered[line.client, line.number] = line
    operations = [_operation(each, answered.get(key)) for key, each in called.items()]
    told = [each for each in operations if each.answer is not None or not isinstance(each.call, READS)]
    return sorted(told, key=lambda each: each.invoked)


def _operation(called: Called, answered: Answered | None) -> Operation:
    return Operation(
        client=called.client,
        subject=called.subject,
        call=called.call,
        invoked=called.moment,
        completed=None if answered is None else answered.moment,
        answer=None if answered is None else answered.answer,
    )


def by_subject(operations: Iterable[Operation]) -> dict[str, list[Operation]]:
    """The history of each workflow id."""
    histories: dict[str, list[Operation]] = {}
    for each in operations:
        histories.setdefault(each.subject, []).append(each)
    return dict(sorted(histories.items()))
