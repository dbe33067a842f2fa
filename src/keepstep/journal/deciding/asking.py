"""Asks and answers: rows that live for seconds and leave nothing behind."""

from __future__ import annotations

from keepstep.journal.ask import Ask
from keepstep.journal.errors import Fenced
from keepstep.journal.hint import HintKind

from .picture import Picture

ANSWER_KEPT_MICROSECONDS = 60_000_000
"""How long an answer waits for its asker, who normally fetches it at once."""


def put_ask(picture: Picture, ask: Ask) -> None:
    head = picture.head(ask.run_id)
    picture.tables.insert_ask(head.run, ask, picture.now)
    picture.news.tell(HintKind.ASKS, ask.run_id)


def take_asks(picture: Picture, taking: tuple[str, int]) -> list[Ask]:
    """Asks to runs that the lease owns, or that nobody owns and it could claim; each is given out once."""
    lease_id, limit = taking
    found = picture.tables.find_lease(lease_id)
    if found is None:
        raise Fenced(f"lease {lease_id} is over; it can answer nothing")
    number, lease = found
    picture.write()
    return picture.tables.take_asks(number, lease.queues, lease.languages, picture.now, max(limit, 0))


def put_answer(picture: Picture, answer: tuple[str, bytes]) -> None:
    """Keep an answer for an asker in another process."""
    picture.tables.insert_answer(*answer, picture.now + ANSWER_KEPT_MICROSECONDS, picture.now)
    picture.news.tell(HintKind.ASKS, "")


def drop_asks(picture: Picture, ask_ids: list[str]) -> None:
    """Their asker waits no longer."""
    picture.tables.delete_asks(ask_ids)
