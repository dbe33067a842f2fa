"""Books: what the outside world has written down of once-steps."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from keepstep.testing.chaos.workload import VOID


def read_books(folder: Path) -> dict[str, dict[str, list[str]]]:
    """What happened, by run and place; pages that say that something shall not happen are left out."""
    books: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for page in folder.iterdir():
        if page.name.startswith("draft-"):
            continue
        run, place, _ = page.name.rsplit("-", 2)
        entry = page.read_text()
        if entry != VOID:
            books[run][place].append(entry)
    return books
