"""Declaration: the limits of a queue as code says them. Workers tell the journal when they start; the newest counts."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping

from keepstep.journal import Declaration, InvalidInput, Journal, Limits
from keepstep.runtime.data import checked_name

from .limits import RateGiven, in_words, limits_of

logger = logging.getLogger("keepstep.worker")

_declared: dict[str, tuple[Limits, str]] = {}
"""By name: the limits, and the module that says so."""


def queue(
    name: str,
    *,
    concurrency: int | None = None,
    per_worker: int | None = None,
    per_key: int | None = None,
    rate: RateGiven | None = None,
    rate_per_key: RateGiven | None = None,
    weights: Mapping[str, int] | None = None,
) -> str:
    """Declare a queue with limits; its name is returned, for ``@step(queue=...)`` and ``@workflow(queue=...)``.

    :param concurrency: at most so many steps and runs of it at a time, over all workers. A step counts while a worker
        executes it, a run from its beginning until it closes, asleep or awake.
    :param per_worker: a worker takes no more while it has so many. :param per_key: at most so many of one
        ``fairness_key`` at a time, in order of arrival.
    :param rate: at most so many begin in any stretch of that length: ``"100/m"`` or ``(100, "1m")``.
    :param rate_per_key: at most so many of one ``fairness_key`` begin in any stretch of that length.
    :param weights: how many turns a ``fairness_key`` gets where others get one: ``{"gold": 3}``.

    It holds for all processes on the journal as soon as a worker with this code starts, until other code or an
    operator (``keepstep queues limit``) says otherwise. See ``docs/queues.md``.

    Raises ``InvalidInput`` for a limit that is none, and for a second declaration in another module.
    """
    checked_name(name, "the name of a queue")
    given = {"concurrency": concurrency, "per_worker": per_worker, "per_key": per_key, "rate": rate}
    limits = limits_of(name, {**given, "rate_per_key": rate_per_key, "weights": weights})
    module = str(sys._getframe(1).f_globals.get("__name__", ""))
    there = _declared.get(name)
    if there is not None and there[1] != module and there[0] != limits:
        raise InvalidInput(
            f"queue {name!r} is declared in {there[1]} with {in_words(there[0])}, and in {module} with "
            f"{in_words(limits)}; declare it once, and import it"
        )
    _declared[name] = (limits, module)
    return name


def forget(name: str) -> None:
    """Take a declaration back, as when a module is replaced by another one."""
    _declared.pop(name, None)


async def publish_queues(journal: Journal) -> None:
    """Tell the journal what this process has declared. What other code has said otherwise is warned of."""
    declarations = [Declaration(name=name, limits=limits) for name, (limits, _) in sorted(_declared.items())]
    if not declarations:
        return
    for other in await journal.declare_queues(declarations):
        logger.warning(
            "queue %r was declared with %s by other code; from now on %s counts, which this worker declares",
            other.name,
            in_words(other.declared),
            in_words(_declared[other.name][0]),
        )
