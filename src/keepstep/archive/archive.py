"""Archive: what is at a place. A run counts once, as it was last: a crash may have had it written twice, or more.

What cannot be read is told of and passed over: a file that is torn, a line that is none. It never keeps others from
being read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

import msgspec

from keepstep.journal import InvalidInput, StoreUnavailable, Unreadable

from .file import Torn, unpack
from .place import Place
from .recording import Heading, read_preface

TROUBLES_MAX = 100
"""So many are told of."""


class Archived(msgspec.Struct, frozen=True, kw_only=True):
    """A run, and where it is."""

    run: Heading
    key_id: str
    """With which it is sealed; "" for none."""
    file: str
    line: int
    """From 1 on."""

    @property
    def where(self) -> str:
        """For people."""
        return f"{self.file}:{self.line}"


class Archive:
    """See the module."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.troubles: list[str] = []
        """What could not be read, in words."""

    @property
    def url(self) -> str:
        """Of its place."""
        return self._place.url

    def list(self, id: str | None = None) -> list[Archived]:
        """All runs, or those of a workflow id or run id; the longest closed first."""
        found: dict[str, Archived] = {}
        for name in self._place.names():
            for archived in self._entries(name):
                run = archived.run
                known = found.get(run.run_id)
                if id in (None, run.workflow_id, run.run_id) and (known is None or known.run.version < run.version):
                    found[run.run_id] = archived
        return sorted(found.values(), key=lambda each: (each.run.closed_at, each.run.run_id))

    def _entries(self, name: str) -> Iterator[Archived]:
        for number, line in enumerate(self._lines(name), 1):
            try:
                preface, heading = read_preface(line, f"line {number} of {name}")
            except InvalidInput as error:
                self._complain(str(error))
                continue
            yield Archived(run=heading, key_id=preface.key_id, file=name, line=number)

    def _lines(self, name: str) -> Iterator[bytes]:
        try:
            yield from unpack(self._place.get(name))
        except Torn as error:
            self._complain(f"{name} in {self._place.url}: {error}; runs behind that place are not read")
        except (StoreUnavailable, Unreadable) as error:
            self._complain(f"{name} in {self._place.url}: {error}")

    def _complain(self, text: str) -> None:
        if text not in self.troubles and len(self.troubles) < TROUBLES_MAX:
            self.troubles.append(text)

    def read(self, wanted: Iterable[Archived]) -> Iterator[tuple[Archived, bytes]]:
        """The lines of these runs. Each stretch of runs of one file reads it once."""
        for name, those in groupby(wanted, lambda each: each.file):
            by_line = {each.line: each for each in those}
            for number, line in enumerate(self._lines(name), 1):
                archived = by_line.pop(number, None)
                if archived is not None:
                    yield archived, line
                if not by_line:
                    break
