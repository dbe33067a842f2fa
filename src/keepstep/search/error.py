"""FilterError: what is wrong with a filter, where, and what was expected there."""

from __future__ import annotations

from collections.abc import Iterable

from keepstep.journal import InvalidInput

SHOWN_CHARS_MAX = 80


class FilterError(InvalidInput):
    """A filter that cannot be understood. ``position``, ``line`` and ``column`` count from 1."""

    def __init__(self, text: str, offset: int, expected: str, found: str = "") -> None:
        self.text = text
        self.expected = expected
        self.found = found
        self.position = offset + 1
        before = text[:offset]
        self.line = before.count("\n") + 1
        self.column = offset - (before.rfind("\n") + 1) + 1
        where = f"position {self.position}"
        if "\n" in text:
            where += f" (line {self.line}, column {self.column})"
        elif len(text) <= SHOWN_CHARS_MAX:
            where += f" of {text!r}"
        but = f", found {found}" if found else ""
        super().__init__(f"filter: at {where}: expected {expected}{but}")
        self.picture = self._picture()

    def _picture(self) -> str:
        """The line, and a caret below the place."""
        line = self.text.split("\n")[self.line - 1]
        begin = max(0, min(self.column - 1 - SHOWN_CHARS_MAX, len(line)))
        shown = line[begin : self.column - 1 + SHOWN_CHARS_MAX].replace("\t", " ")
        return f"  {shown}\n  {' ' * (self.column - 1 - begin)}^"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint in brackets, if the word is nearly a known one."""
    from difflib import get_close_matches  # which takes its time, and is wanted only here

    spellings = {each.lower(): each for each in known}
    close = get_close_matches(word.lower(), spellings, n=1, cutoff=0.6)
    return f" (did you mean {spellings[close[0]]}?)" if close else ""
