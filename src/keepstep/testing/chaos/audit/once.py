"""Once: no once-step is called twice, whatever dies; and each place of a dispenser has exactly one success."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from keepstep.testing.chaos.plan import plan_of

from .books import read_books
from .case import Case, used_receipts

DISPENSER = "chaos_dispenser"


def check_once(case: Case) -> Iterator[str]:
    calls = Counter(tuple(line.facts[:3]) for line in case.facts["dispensing"])
    for (run, place, tries), count in calls.items():
        if count > 1:
            yield f"{run}: the once-step {place} (try {tries}) was called {count} times"
    books = read_books(case.folder / "books")
    for name, ending in case.endings.items():
        if ending.type == DISPENSER and ending.status == "completed":
            yield from _check_dispenser(name, used_receipts(ending.result), books.get(name, {}))


def _check_dispenser(name: str, receipts: list[str], books: dict[str, list[str]]) -> Iterator[str]:
    links = len(plan_of(name).links)
    if len(receipts) != links:
        yield f"{name} ended with {len(receipts)} receipts for {links} once-steps"
    for place, receipt in enumerate(receipts):
        written = books.get(str(place), [])
        if written != [receipt]:
            yield f"{name}: once-step {place} gave {receipt}, and the book has {written}"
