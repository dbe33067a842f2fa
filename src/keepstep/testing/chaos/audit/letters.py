"""Letters: every acknowledged signal is consumed exactly once, those of one sender in the order of sending."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from .case import Case, used_receipts

MAILBOX = "chaos_mailbox"


def check_letters(case: Case) -> Iterator[str]:
    sent: dict[str, set[str]] = defaultdict(set)
    tried: dict[str, set[str]] = defaultdict(set)
    for line in case.facts["sent"]:
        sent[line.facts[0]].add(line.facts[1])
    for line in case.facts["sending"]:
        tried[line.facts[0]].add(line.facts[1])
    for name, ending in case.endings.items():
        if ending.type == MAILBOX and ending.status == "completed":
            opened = [str(letter) for letter, _ in ending.result]
            yield from _check_box(name, opened, sent[name], tried[name])
            yield from _check_opening(case, name, ending.result)
    for name in sent.keys() - case.endings.keys():
        yield f"letters to {name} were acknowledged, and the run is gone"


def _check_box(name: str, opened: list[str], sent: set[str], tried: set[str]) -> Iterator[str]:
    times = Counter(opened)
    for letter in sent - times.keys():
        yield f"{name}: the acknowledged letter {letter!r} was never opened"
    for letter, count in times.items():
        if count > 1:
            yield f"{name}: the letter {letter!r} was opened {count} times"
        if letter not in tried:
            yield f"{name}: nobody has sent the letter {letter!r}"
    newest: dict[str, int] = {}
    for letter in opened:
        kind, sender, *number = letter.split()
        if kind == "own":
            if int(number[0]) < newest.get(sender, 0):
                yield f"{name}: letter {number[0]} of life {sender} was opened after letter {newest[sender]}"
            newest[sender] = int(number[0])


def _check_opening(case: Case, name: str, result: list[list[str]]) -> Iterator[str]:
    places = case.places(name)
    if len(places) != len(result):
        yield f"{name} opened {len(places)} letters, and ended with {len(result)}"
    for letter, receipt in result:
        execution = case.execution(receipt)
        if execution is None or execution.given != [letter] or used_receipts(receipt) != [receipt]:
            yield f"{name} ended with {receipt} for the letter {letter!r}, which never happened"
