"""Asks and answers: rows that live for seconds and leave nothing behind."""

from __future__ import annotations

from keepstep.journal.ask import Ask
from keepstep.journal.errors import Fenced
from keepstep.journal.hint import HintKind

from . import statements as sql
from .picture import Picture
from .rows import asks_of, json_text, lease_of

ANSWER_KEPT_MICROSECONDS = 60_000_000
"""How long an answer waits for its asker, who normally fetches it at once."""


def put_ask(picture: Picture, ask: Ask) -> None:
    head = picture.head(ask.run_id)
    picture.connection.execute(sql.FORGET_ASKS, (picture.now,))
    picture.connection.execute(sql.INSERT_ASK, (ask.ask_id, head.run, ask.kind, ask.name, ask.data, ask.deadline))
    picture.news.tell(HintKind.ASKS, ask.run_id)


def take_asks(picture: Picture, taking: tuple[str, int]) -> list[Ask]:
    """Asks to runs that the lease owns, or that nobody owns and it could claim; each is given out once."""
    lease_id, limit = taking
    found = picture.connection.execute(sql.LEASE_BODY, (lease_id,)).fetchone()
    if found is None:
        raise Fenced(f"lease {lease_id} is over; it can answer nothing")
    number, lease = found[0], lease_of(found[1])
    picture.write()
    asked = {"lease": number, "languages": json_text(lease.languages), "queues": json_text(lease.queues)}
    asked |= {"now": picture.now, "limit": max(limit, 0)}
    (rows,) = picture.connection.execute(sql.OPEN_ASKS, asked).fetchone()
    asks = asks_of(rows)
    if asks:
        picture.connection.execute(sql.DELETE_ASKS, (json_text([ask.ask_id for ask in asks]),))
    return asks


def put_answer(picture: Picture, answer: tuple[str, bytes]) -> None:
    """Keep an answer for an asker in another process."""
    picture.connection.execute(sql.FORGET_ANSWERS, (picture.now,))
    picture.connection.execute(sql.INSERT_ANSWER, (*answer, picture.now + ANSWER_KEPT_MICROSECONDS))
    picture.news.tell(HintKind.ASKS, "")


def drop_asks(picture: Picture, ask_ids: list[str]) -> None:
    """Their asker waits no longer."""
    picture.connection.execute(sql.DELETE_ASKS, (json_text(ask_ids),))
    picture.connection.execute(sql.DELETE_ANSWERS, (json_text(ask_ids),))
