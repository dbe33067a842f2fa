"""Walk: through the runs of a bulk, a page at a time, speaking to several of them at once.

What goes wrong with one run is its outcome, and the others are spoken to all the same. Only where the store itself
cannot be reached the walk ends, with what that raises: the bulk is to be repeated, by its id.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence

from keepstep.journal import Error, Journal, NotFound, Run, RunClosed, StoreUnavailable
from keepstep.journal.identifier import made_at_ms
from keepstep.journal.search import Place

from .continued import those_meant
from .report import ALREADY, DONE, REFUSED, BulkOutcome
from .stretch import Stretch
from .word import Word

PAGE = 500


async def pages(
    journal: Journal, namespace: str, stretch: Stretch, limit: int | None = None
) -> AsyncIterator[list[Run]]:
    """The runs of a stretch, in its order.

    One that began as the continuation of another in the very moment of the bulk is met as that other one.
    """
    after: Place | None = None
    while True:
        page = await journal.search_runs(namespace, stretch.search, after=after, limit=limit or PAGE)
        if stretch.is_of_delayed:
            runs = [run for run in page.runs if _was_asked_for(run, stretch.began_at)]
        else:
            runs = [run for run in page.runs if run.continued_from is None or run.started_at < stretch.began_at]
        if stretch.of_continued is not None:
            runs = await those_meant(journal, runs, stretch.of_continued)
        if runs:
            yield runs
        if page.after is None:
            return
        after = page.after


def _was_asked_for(run: Run, began_at: int) -> bool:
    made = made_at_ms(run.run_id)
    return made is not None and made <= began_at // 1000


async def say_to_all(runs: Sequence[Run], say: Word, at_once: int) -> list[BulkOutcome]:
    """What became of each, in their order. Raises ``StoreUnavailable``."""
    outcomes: dict[int, BulkOutcome] = {}
    lost: list[StoreUnavailable] = []

    async def work(left: Iterator[tuple[int, Run]]) -> None:
        for n, run in left:
            if lost:
                return
            try:
                outcomes[n] = await _say(run, say)
            except StoreUnavailable as error:
                lost.append(error)

    left = iter(enumerate(runs))
    await asyncio.gather(*(work(left) for _ in range(min(at_once, len(runs)))))
    if lost:
        raise lost[0]
    return [outcomes[n] for n in range(len(runs))]


async def _say(run: Run, say: Word) -> BulkOutcome:
    try:
        why = await say(run)
        return _outcome(run, ALREADY if why else DONE, why)
    except StoreUnavailable:
        raise
    except (RunClosed, NotFound) as error:
        return _outcome(run, ALREADY, str(error))
    except Error as error:
        return _outcome(run, REFUSED, str(error))
    except Exception as error:  # such as a damaged row, which must not keep the others waiting
        return _outcome(run, REFUSED, f"{type(error).__name__}: {error}")


def _outcome(run: Run, outcome: str, why: str) -> BulkOutcome:
    return BulkOutcome(id=run.workflow_id, run_id=run.run_id, type=run.type, outcome=outcome, why=why)
