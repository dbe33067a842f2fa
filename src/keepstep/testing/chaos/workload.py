"""Workload: the workflows and steps that are killed. Every step says in the ledger what it was given and what it gave.

A step returns a *receipt*: the run, the place in it, and a random word of this very execution. Receipts travel on as
arguments and end up in results, so that the ledger can tell whether a result that a run used really happened, and
whether everybody was given the same one.

A dispenser's ``once`` steps write into a *book* outside of the engine, as a payment gateway would: a file for each
call, made by linking, so that only the first to write it wins. Its resolver either reads there what happened, or writes
that it shall never happen, which also stops a zombie that wakes up later.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import keepstep
from keepstep import Outcome, Retry, StepFailed, TimedOut, step, step_info, workflow

from .ledger import Ledger
from .plan import Colour, Link

OTHER_QUEUE = "elsewhere"
LAST_LETTER = "that is all"
VOID = "void"

SOON = Retry(max_attempts=None, initial=0.01, max_interval=0.05)


class Refused(Exception):
    """The outside world says no, for good."""


class Busy(Exception):
    """The outside world says: later."""


class _Place:
    """Where this process writes; set by ``settle``."""

    ledger: Ledger
    books: Path
    has_worked: Callable[[], None]


def settle(ledger: Ledger, books: Path, has_worked: Callable[[], None]) -> None:
    """From now on, steps of this process write there, and tell of their first line."""
    _Place.ledger, _Place.books, _Place.has_worked = ledger, books, staticmethod(has_worked)


def _begin(run: str, place: str, given: list[Any]) -> str:
    receipt = f"{run}|{place}|{os.urandom(5).hex()}"
    _Place.ledger.write("began", run, place, receipt, step_info().attempt, given)
    _Place.has_worked()
    return receipt


def _end(receipt: str, link: Link) -> str:
    if step_info().attempt <= link.failures:
        _Place.ledger.write("raised", receipt)
        raise Busy
    if link.is_refused:
        _Place.ledger.write("raised", receipt)
        raise Refused("no")
    _Place.ledger.write("done", receipt)
    return receipt


async def _work(run: str, place: str, link: Link, given: list[Any]) -> str:
    receipt = _begin(run, place, given)
    if link.milliseconds:
        await asyncio.sleep(link.milliseconds / 1000)
    return _end(receipt, link)


RETRIED = Retry(max_attempts=None, initial=0.01, max_interval=0.05, non_retryable=(Refused,))


@step(name="chaos_async", retry=RETRIED)
async def work_async(run: str, place: str, link: Link, given: list[Any]) -> str:
    return await _work(run, place, link, given)


@step(name="chaos_remote", retry=RETRIED, queue=OTHER_QUEUE)
async def work_remote(run: str, place: str, link: Link, given: list[Any]) -> str:
    return await _work(run, place, link, given)


@step(name="chaos_sync", retry=RETRIED)
def work_sync(run: str, place: str, link: Link, given: list[Any]) -> str:
    receipt = _begin(run, place, given)
    time.sleep(link.milliseconds / 1000)
    return _end(receipt, link)


WORK: dict[Colour, Any] = {"async": work_async, "sync": work_sync, "remote": work_remote}


@step(name="chaos_undo", retry=SOON)
async def undo(run: str, place: str, link: Link, given: list[Any], outcome: Outcome) -> None:
    said = [outcome.status, outcome.result or ""]
    receipt = _begin(run, f"undo {place}", said)
    await asyncio.sleep(link.milliseconds / 2000)
    if step_info().attempt <= link.failures:
        _Place.ledger.write("raised", receipt)
        raise Busy
    _Place.ledger.write("done", receipt)


def call(run: str, place: str, link: Link, given: list[Any]) -> Coroutine[Any, Any, str]:
    """The step for a link, not yet awaited."""
    made: Coroutine[Any, Any, str] = WORK[link.colour](run, place, link, given)
    return made


@workflow(name="chaos_chain")
async def chain(run: str, links: list[Link]) -> list[str]:
    """Each step is given the receipt of the one before."""
    receipts: list[str] = []
    for place, link in enumerate(links):
        receipts.append(await call(run, str(place), link, receipts[-1:]))
    return receipts


@workflow(name="chaos_fan")
async def fan(run: str, links: list[Link], width: int) -> list[str]:
    """Steps side by side, and then one that is given all their receipts; the rest likewise."""
    receipts: list[str] = []
    for begin in range(0, len(links), width):
        group = [call(run, str(begin + n), link, []) for n, link in enumerate(links[begin : begin + width])]
        together = await asyncio.gather(*group)
        receipts += [*together, await call(run, f"all {begin}", Link(), list(together))]
    return receipts


@workflow(name="chaos_naps")
async def naps(run: str, links: list[Link], milliseconds: list[int]) -> list[str]:
    """A chain with a durable wait after each step."""
    receipts: list[str] = []
    for place, (link, wait) in enumerate(zip(links, milliseconds, strict=True)):
        receipts.append(await call(run, str(place), link, receipts[-1:]))
        await keepstep.sleep(wait / 1000)
    receipts.append(await call(run, "awake", Link(), receipts[-1:]))
    return receipts


@workflow(name="chaos_mailbox")
async def mailbox(run: str, patience_milliseconds: int) -> list[list[str]]:
    """Opens every letter by a step, in the order of arrival. The impatient look at the clock in between."""
    opened: list[list[str]] = []
    while True:
        try:
            letter = await keepstep.receive("letter", str, timeout=patience_milliseconds / 1000 or None)
        except TimedOut:
            continue
        if letter == LAST_LETTER:
            return opened
        opened.append([letter, await call(run, f"letter {len(opened)}", Link(), [letter])])


@workflow(name="chaos_order")
async def order(run: str, links: list[Link], wait_milliseconds: int, raises: bool) -> list[str]:
    """A saga: every step has an undo, a refused one ends it, and it can be cancelled."""
    receipts: list[str] = []
    async with keepstep.saga() as saga:
        for place, link in enumerate(links):
            receipts.append(await saga.run(WORK[link.colour], run, str(place), link, receipts[-1:], undo=undo))
        await keepstep.sleep(wait_milliseconds / 1000)
        if raises:
            raise Refused("at the end")
    return receipts


@workflow(name="chaos_family")
async def family(run: str, links: list[Link]) -> list[list[str]]:
    """Children side by side, and one more that is started first and awaited last."""
    last = await keepstep.start_child(chain, f"{run}/last", links[:2])
    grown = await asyncio.gather(*(chain(f"{run}/{n}", links[n:]) for n in range(min(3, len(links)))))
    return [*grown, await last]


def look_into_book(run: str, place: str, tries: int) -> Any:
    """What became of a call of ``dispense`` that nobody heard of any more; from now on nothing else can."""
    written = _write_into_book(run, place, tries, VOID)
    return Outcome("failed", error="it had not happened, and now it cannot") if written == VOID else written


@step(name="chaos_dispense", once=True, resolver=look_into_book)
async def dispense(run: str, place: str, tries: int) -> str:
    receipt = f"{run}|{place}|{os.urandom(5).hex()}"
    _Place.ledger.write("dispensing", run, place, tries, receipt)
    _Place.has_worked()
    await asyncio.sleep(0.002)
    if _write_into_book(run, place, tries, receipt) != receipt:
        raise Refused("the book says that it shall not happen")
    _Place.ledger.write("dispensed", run, place, tries, receipt)
    await asyncio.sleep(0.005)
    return receipt


def _write_into_book(run: str, place: str, tries: int, entry: str) -> str:
    """Write, unless something is written there; what is written there."""
    page = _Place.books / f"{run}-{place}-{tries}"
    draft = _Place.books / f"draft-{os.getpid()}-{os.urandom(4).hex()}"
    draft.write_text(entry)
    try:
        os.link(draft, page)
    except FileExistsError:
        return page.read_text()
    finally:
        draft.unlink()
    return entry


@workflow(name="chaos_dispenser")
async def dispenser(run: str, links: list[Link]) -> list[str]:
    """Once-steps, each tried until one is known to have happened."""
    receipts: list[str] = []
    for place in range(len(links)):
        tries = 0
        while len(receipts) == place:
            try:
                receipts.append(await dispense(run, str(place), tries))
            except StepFailed:
                tries += 1
    return receipts
