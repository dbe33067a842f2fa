"""Sweeper: carries out the policies that a worker has claimed, a batch at a time.

Between two batches is a pause, as long as the batch took or a second, in which others write. When nothing more is due,
it is looked at again when the next run will be, but within ``LOOK_SECONDS_MAX``: runs that are imported have ended long
ago.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from keepstep.codecs.journal import codec_of
from keepstep.journal import (
    Commit,
    Condition,
    Conflict,
    Fenced,
    InvalidInput,
    JournalError,
    NotFound,
    Run,
    RunClosed,
    StoreUnavailable,
    Unreadable,
)

from .guest import Host, namespace_of
from .policy import Standing, encode_standing, standing_of
from .sweep import Batch, Sweeping

logger = logging.getLogger("keepstep.retention")

PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX = 0.02, 1.0
AFTER_TROUBLE_SECONDS = 60.0
LOOK_SECONDS_MIN, LOOK_SECONDS_MAX = 60.0, 3600.0
LATE_PART = 10
"""A run may be kept longer by a tenth, so that many go together."""


class Sweeper:
    """See the module."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._journal = host.journal
        self._in_hand: set[tuple[str, int]] = set()
        """By epoch: a policy that is set anew may be claimed again before the sweep under way has noticed."""

    def take_up(self, runs: Sequence[Run]) -> None:
        """Begin with policies that the worker owns."""
        for run in runs:
            if (run.run_id, run.epoch) not in self._in_hand:
                self._in_hand.add((run.run_id, run.epoch))
                self._host.spawn(self._take(run))

    async def _take(self, run: Run) -> None:
        try:
            await self._carry_out(run)
        except (Conflict, Fenced, NotFound, RunClosed):
            pass  # it is somebody else's by now, or was set anew
        except Unreadable as error:
            await self._host.park_unreadable(run, error)
        except JournalError as error:
            logger.warning("retention in namespace %r could not be noted (%s)", namespace_of(run.namespace), error)
            self._host.doubt_claims()
        except Exception as error:
            logger.exception("retention in namespace %r met an unexpected error", namespace_of(run.namespace))
            await self._try_later(run, error)
        finally:
            self._in_hand.discard((run.run_id, run.epoch))

    async def _carry_out(self, run: Run) -> None:
        """Batch after batch, until nothing more is due. Each is noted, which fails once the policy is set anew."""
        standing = _replaced(standing_of(run), left={})
        namespace = namespace_of(run.namespace)
        sweeping = Sweeping(self._journal, codec_of(self._journal), namespace, standing.rules, self._host.ids)
        clock = self._journal.clock
        while True:
            began = clock.monotonic()
            try:
                batch = await sweeping.sweep_batch(standing.left)
            except (StoreUnavailable, InvalidInput) as error:
                logger.warning("retention in namespace %r stands still: %s", namespace, error)
                await self._put_off(run, standing, str(error))
                return
            standing = _with_batch(standing, batch)
            if batch.is_last:
                break
            await self._note(run, standing)
            await asyncio.sleep(min(max(clock.monotonic() - began, PAUSE_SECONDS_MIN), PAUSE_SECONDS_MAX))
        next_at = await self._next_look(standing, sweeping, clock.now())
        ended = _replaced(standing, swept_at=clock.now(), next_at=next_at or 0)
        await self._note(run, ended, release=True, wake_at=next_at)

    async def _try_later(self, run: Run, error: Exception) -> None:
        """Whatever is wrong with one policy, it must neither stay owned nor be taken up again and again."""
        try:
            await self._put_off(run, standing_of(run), f"{type(error).__name__}: {error}")
        except JournalError as refused:
            logger.warning("retention in namespace %r could not be put off (%s)", namespace_of(run.namespace), refused)
            self._host.doubt_claims()

    async def _put_off(self, run: Run, standing: Standing, trouble: str) -> None:
        later = _later(self._journal.clock.now(), AFTER_TROUBLE_SECONDS)
        await self._note(run, _replaced(standing, trouble=trouble, next_at=later), release=True, wake_at=later)

    async def _next_look(self, standing: Standing, sweeping: Sweeping, now: int) -> int | None:
        """When to look again. What was left for trouble is tried again then."""
        if not standing.rules:
            return None
        shortest = min(rule.keep for rule in standing.rules.values()) / 1e6
        pause = min(max(shortest / LATE_PART, LOOK_SECONDS_MIN), LOOK_SECONDS_MAX)
        earliest, latest = _later(now, pause), _later(now, max(LOOK_SECONDS_MAX, pause))
        return min(max(await sweeping.next_due(standing.left), earliest), latest)

    async def _note(self, run: Run, standing: Standing, *, release: bool = False, wake_at: int | None = None) -> None:
        await self._journal.commit(
            Commit(
                run_id=run.run_id,
                epoch=run.epoch,
                detail=encode_standing(standing),
                condition=Condition.WAITING,
                release=release,
                wake_at=wake_at,
            )
        )


def _with_batch(standing: Standing, batch: Batch) -> Standing:
    removed, archived = standing.removed + batch.removed, standing.archived + batch.archived
    return _replaced(standing, removed=removed, archived=archived, left=batch.left, trouble="")


def _replaced(standing: Standing, **changes: object) -> Standing:
    return msgspec.structs.replace(standing, **changes)


def _later(now: int, seconds: float) -> int:
    return now + round(seconds * 1e6)
