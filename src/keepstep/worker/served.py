"""Served: which workflows a worker runs, and in which versions of their code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from keepstep.runtime.code_version import order_of, pinned_queue, split_queue
from keepstep.runtime.registry import ANY, find_code, workflows
from keepstep.runtime.workflow import Workflow


class Served:
    """All workflows that were decorated in this process, or those that the worker was given.

    A worker asks for names and queues whenever it looks for work, so they are made once for each set of workflows.
    """

    def __init__(self, given: Sequence[Workflow[Any, Any]] | None = None) -> None:
        self._given = None if given is None else tuple(sorted(given, key=lambda each: order_of(each.version)))
        self._known: tuple[Workflow[Any, Any], ...] = ()
        self._names: tuple[str, ...] = ()
        self._queues: dict[tuple[str, ...], tuple[str, ...]] = {}

    def workflows(self) -> tuple[Workflow[Any, Any], ...]:
        """Each version of each of them."""
        return workflows() if self._given is None else self._given

    def newest(self) -> list[Workflow[Any, Any]]:
        """One version of each of them: that which new runs get, and those that are not pinned."""
        return list({each.name: each for each in self.workflows()}.values())

    def names(self) -> tuple[str, ...]:
        self._look()
        return self._names

    def queues(self, queues: Sequence[str]) -> tuple[str, ...]:
        """The queues to serve, with those of the versions that runs stay with."""
        self._look()
        served = self._queues.get(key := tuple(queues))
        if served is None:
            served = self._queues[key] = (*queues, *dict.fromkeys(self._pinned(queues)))
        return served

    @property
    def is_of_any_name(self) -> bool:
        """Whether it runs whatever is offered on its queues, but for what stays with versions that it has not."""
        return ANY in self.names()

    def ticket_keys(self, queues: Sequence[str]) -> tuple[str, ...]:
        """Which tickets on these queues are those of runs that it can run."""
        return (*self.names(), *self.queues(queues)[len(queues) :])

    def _look(self) -> None:
        """Forget what was made for other workflows."""
        if (now := self.workflows()) is not self._known:
            self._known, self._names = now, tuple(dict.fromkeys(each.name for each in now))
            self._queues.clear()

    def _pinned(self, queues: Sequence[str]) -> Iterator[str]:
        for each in self._known:
            for version in each.versions_pinned:
                yield from (pinned_queue(queue, each.name, version) for queue in queues)

    def find(self, name: str, queue: str) -> Workflow[Any, Any] | None:
        """The code for a run of that workflow which is offered on that queue."""
        if self._given is None:
            return find_code(name, queue)
        version = split_queue(queue, name)[1]
        fitting = [each for each in self._given if each.name == name and each.runs_version(version)]
        if fitting or version is not None:
            return fitting[-1] if fitting else None
        return next((each.named(name) for each in self._given if each.name == ANY), None)
