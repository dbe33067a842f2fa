"""Retention: how long closed runs are kept, as an operator sets it; and what has come of that."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

from keepstep.archive.place import place_at
from keepstep.codecs.journal import codec_of
from keepstep.journal import Conflict, InvalidInput, Journal, Status
from keepstep.retention.keeping import change_policy, find_policy
from keepstep.retention.policy import FOREVER, Rule, Standing, kept_for, read_keep, read_statuses, with_rule
from keepstep.retention.sweep import Leftovers, Sweeping
from keepstep.runtime.data import Duration

from .info import moment
from .searching import count_found


class RuleInfo(msgspec.Struct, frozen=True, kw_only=True):
    """How long runs of one status are kept."""

    keep: timedelta | None
    """None for ever."""
    archive: str | None
    """Where they go then; None for nowhere."""


class RetentionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of a namespace, and what has come of them. Times are aware and in UTC."""

    rules: dict[Status, RuleInfo]
    """Of every closed status."""
    removed: int
    """Runs, since there are rules; those of a batch that was cut off before it was noted are not counted."""
    archived: int
    swept_at: datetime | None
    """When a sweep has last come to its end."""
    next_at: datetime | None
    trouble: str | None
    """Why the last sweep did not come to its end."""
    left: dict[str, str]
    """Run ids that were due and could not be archived, and why."""
    changes: tuple[tuple[datetime, str], ...]
    """When what was set, in order."""


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """What a sweep has removed, or would remove."""

    removed: int
    archived: int
    left: dict[str, str]
    """Run ids that were due and could not be archived, and why."""


class Retention:
    """``engine.retention``: nothing is removed unasked, and what is removed may be archived before.

    ``await engine.retention.set("completed", "30d", archive="/var/lib/orders/archive")``. See ``docs/life-cycle.md``.
    """

    def __init__(self, journal: Journal, namespace: str, make_id: Callable[[], str]) -> None:
        self._journal = journal
        self._namespace = namespace
        self._make_id = make_id

    async def set(self, status: str, keep: Duration | None, *, archive: str | None = None) -> None:
        """Keep runs of this namespace that were closed with a status for so long, and remove them then.

        :param status: ``completed``, ``failed`` …, or ``all``. :param keep: from a run's close; ``None`` or
            ``"forever"``, as where nothing was ever set. :param archive: a folder that all workers reach, or
            ``s3://bucket/prefix``, where each run is written before it is removed.

        Workers begin with it at once. Raises ``InvalidInput``.
        """
        statuses, kept = read_statuses(status), read_keep(keep)
        if kept is None and archive is not None:
            raise InvalidInput("what is kept for ever is never archived; give a time, or leave the archive out")
        rule = None if kept is None else Rule(kept, None if archive is None else place_at(archive).url)
        if rule is None and await find_policy(self._journal, self._namespace) is None:
            return
        audit = f"{status}: {_shown(keep, rule)}"
        await change_policy(
            self._journal, self._namespace, self._make_id, lambda there: with_rule(there, statuses, rule), audit
        )

    async def describe(self) -> RetentionInfo:
        """The rules, and what has come of them."""
        found = await find_policy(self._journal, self._namespace)
        standing = Standing() if found is None else found[1]
        audit = [] if found is None else await self._journal.read_audit(found[0].run_id)
        rules = {status: standing.rules.get(status) for status in read_statuses("all")}
        return RetentionInfo(
            rules={
                status: RuleInfo(keep=kept_for(rule), archive=None if rule is None else rule.archive)
                for status, rule in rules.items()
            },
            removed=standing.removed,
            archived=standing.archived,
            swept_at=moment(standing.swept_at) if standing.swept_at else None,
            next_at=moment(standing.next_at) if standing.next_at else None,
            trouble=standing.trouble or None,
            left=_reasons(standing.left),
            changes=tuple((moment(line.time), line.text) for line in audit),
        )

    async def sweep(self, *, dry_run: bool = False) -> Swept:
        """Carry the rules out, here and now, beside what workers do.

        :param dry_run: only count; runs that a registered subscriber holds back, or a missing key, are counted, too.

        Raises ``StoreUnavailable`` if an archive cannot be written to.
        """
        standing = await self._standing()
        if dry_run:
            return await self._count(standing)
        sweeping = self._sweeping(standing)
        left: Leftovers = {}
        removed = archived = 0
        while True:
            batch = await sweeping.sweep_batch(left)
            removed, archived, left = removed + batch.removed, archived + batch.archived, batch.left
            if batch.is_last:
                break
            now = await self._standing()
            if now.rules != standing.rules:  # somebody wants runs kept that would go by those before
                standing, sweeping, left = now, self._sweeping(now), {}
        await self._note(removed, archived)
        return Swept(removed=removed, archived=archived, left=_reasons(left))

    def _sweeping(self, standing: Standing) -> Sweeping:
        return Sweeping(self._journal, codec_of(self._journal), self._namespace, standing.rules, self._make_id)

    async def _note(self, removed: int, archived: int) -> None:
        if not removed and not archived:
            return

        def add(there: Standing) -> Standing:
            return msgspec.structs.replace(there, removed=there.removed + removed, archived=there.archived + archived)

        try:
            await change_policy(self._journal, self._namespace, self._make_id, add, f"sweep: {removed} removed")
        except Conflict:
            pass  # workers note what they do all the while, and nothing hangs on the sum

    async def _count(self, standing: Standing) -> Swept:
        now = self._journal.clock.now()
        removed = archived = 0
        for status, rule in standing.rules.items():
            before = datetime.fromtimestamp((now - rule.keep) / 1e6, UTC).isoformat()
            count = await count_found(self._journal, self._namespace, f"Status = '{status}' AND CloseTime < '{before}'")
            removed += count
            archived += count if rule.archive is not None else 0
        return Swept(removed=removed, archived=archived, left={})

    async def _standing(self) -> Standing:
        found = await find_policy(self._journal, self._namespace)
        return Standing() if found is None else found[1]


def _shown(keep: Duration | None, rule: Rule | None) -> str:
    """What was set, for people."""
    if rule is None:
        return FOREVER
    return f"{keep}, then {'removed' if rule.archive is None else f'archived in {rule.archive}'}"


def _reasons(left: Leftovers) -> dict[str, str]:
    return {each.run_id: each.why for those in left.values() for each in those}
