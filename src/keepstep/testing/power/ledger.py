"""Ledger: what was asked of the journal and what it acknowledged, in the askers' own words, to be compared with what a
recovered journal says through its port.

It knows nothing of transactions and tables: a run's events are those of its first k entries, whole and in order, where
k counts at least all that were acknowledged; its state and its inbox are what those entries made of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from keepstep.journal import Journal, Loaded, NotFound, StateChange


@dataclass(kw_only=True)
class Asked:
    """Something that was asked of the journal. Both numbers are places in the trace."""

    asked_at: int
    acknowledged_at: int | None = None

    def is_acknowledged(self, place: int) -> bool:
        return self.acknowledged_at is not None and self.acknowledged_at <= place


@dataclass(kw_only=True)
class Entry(Asked):
    """One commit or start of a run's owner."""

    events: tuple[bytes, ...]
    state: tuple[StateChange, ...] = ()
    consumed: tuple[bytes, ...] = ()
    """Data of the messages that it consumed."""


@dataclass(kw_only=True)
class Letter(Asked):
    """One message to a run. Its data is unlike any other's."""

    data: bytes


@dataclass
class Account:
    """All about one run."""

    entries: list[Entry] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    purge_asked_at: int | None = None


class Ledger:
    """See the module."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}

    def account(self, run_id: str) -> Account:
        return self.accounts.setdefault(run_id, Account())

    def acknowledged(self, place: int) -> int:
        """How many starts, commits and messages had been acknowledged at a place."""
        asked: Iterator[Asked] = chain.from_iterable(
            [*account.entries, *account.letters] for account in self.accounts.values()
        )
        return sum(one.is_acknowledged(place) for one in asked)

    async def compare(self, journal: Journal, place: int) -> list[str]:
        """What a journal that was recovered after a cut at this place has wrong, in words."""
        wrong = []
        for run_id, account in self.accounts.items():
            try:
                found = await journal.load(run_id)
            except NotFound:
                found = None
            complaint = _compare(account, found, place)
            if complaint is not None:
                wrong.append(f"run {run_id}: {complaint}")
        return wrong


def _compare(account: Account, found: Loaded | None, place: int) -> str | None:
    entries = [entry for entry in account.entries if entry.asked_at <= place]
    sure = sum(entry.is_acknowledged(place) for entry in entries)
    if found is None:
        purged = account.purge_asked_at is not None and account.purge_asked_at <= place
        return f"{sure} acknowledged entries are lost with the run" if sure and not purged else None
    for count in range(max(sure, 1), len(entries) + 1):
        if _fits(entries[:count], account.letters, found, place):
            return None
    return (
        f"{len(found.events)} events, {len(found.state)} pieces of state and {len(found.messages)} messages are not "
        f"what {sure} acknowledged entries, or up to {len(entries)} that were asked for, would have left"
    )


def _fits(entries: list[Entry], letters: list[Letter], found: Loaded, place: int) -> bool:
    events = [data for entry in entries for data in entry.events]
    if [event.data for event in found.events] != events or found.run.last_seq != len(events):
        return False
    if [event.seq for event in found.events] != list(range(1, len(events) + 1)):
        return False
    state: dict[tuple[str, str], bytes | None] = {}
    for entry in entries:
        state.update({(change.kind, change.key): change.data for change in entry.state})
    if found.state != {key: data for key, data in state.items() if data is not None}:
        return False
    return _inbox_fits({data for entry in entries for data in entry.consumed}, letters, found, place)


def _inbox_fits(consumed: set[bytes], letters: list[Letter], found: Loaded, place: int) -> bool:
    waiting = [message.data for message in found.messages]
    sure = {letter.data for letter in letters if letter.is_acknowledged(place)}
    possible = {letter.data for letter in letters if letter.asked_at <= place}
    once = len(set(waiting)) == len(waiting)
    return once and sure - consumed <= set(waiting) <= possible - consumed
