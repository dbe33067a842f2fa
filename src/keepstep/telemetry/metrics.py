"""Metrics: what this process's worker does, as Prometheus counts it. Needs ``keepstep[metrics]``.

Counters and histograms are about this process, and are summed over all of them. Gauges of the whole database (open
runs, queues, leases) are read when they are asked for, and are the same whichever process is asked.

Labels are names from code and few fixed words: never a run, a key or anything else of which there is no end.
"""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from keepstep.journal import Condition, Journal, Status
from keepstep.runtime.execution import Identity
from keepstep.worker.observer import AttemptOutcome, LostAttempt, ObservedAttempt, Observer
from keepstep.worker.said import Said

STEP_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300, 3600)
COMMIT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
WAITED_SECONDS = (0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300, 3600)

IN_NO_CONDITION = "advancing"
"""Open runs that are in none of the conditions which the journal names."""


class PrometheusMetrics(Observer):
    """``Engine(url, observers=[PrometheusMetrics()])``; ``/metrics`` of ``callback_app(engine)`` shows them.

    :param registry: where they are registered; by default one of their own, so that engines do not share any.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = into = registry or CollectorRegistry()
        self._begun = Counter("keepstep_runs_begun", "Runs whose code began here", ["workflow"], registry=into)
        self._closed = Counter("keepstep_runs_closed", "Runs that ended here", ["workflow", "status"], registry=into)
        self._blocked = Counter("keepstep_runs_blocked", "Times a run was blocked here", ["workflow"], registry=into)
        self._replayed = Counter("keepstep_runs_replayed", "Replays of runs here", ["workflow"], registry=into)
        self._lost = Counter(
            "keepstep_attempts_lost", "Steps that an earlier owner left without an answer", ["step"], registry=into
        )
        self._begin_delay = Histogram(
            "keepstep_run_schedule_to_start_seconds", "From start to first turn", ["workflow"],
            registry=into, buckets=WAITED_SECONDS,
        )  # fmt: skip
        self._attempts = Counter("keepstep_attempts", "Attempts that ended", ["step", "outcome"], registry=into)
        self._running = Gauge("keepstep_attempts_running", "Attempts being executed here", registry=into)
        self._step_seconds = Histogram(
            "keepstep_step_seconds", "Duration of attempts", ["step"], registry=into, buckets=STEP_SECONDS
        )
        self._task_delay = Histogram(
            "keepstep_task_schedule_to_start_seconds", "How long steps of queues waited", ["queue"],
            registry=into, buckets=WAITED_SECONDS,
        )  # fmt: skip
        self._said = Counter(
            "keepstep_messages", "Signals, updates and queries", ["workflow", "kind", "outcome"], registry=into
        )
        self._said_seconds = Histogram(
            "keepstep_message_seconds", "From an update's acceptance to its outcome; of the answer to a query",
            ["workflow", "kind"], registry=into, buckets=STEP_SECONDS,
        )  # fmt: skip
        self._commit_seconds = Histogram(
            "keepstep_commit_seconds", "From handing a commit in to its durability",
            registry=into, buckets=COMMIT_SECONDS,
        )  # fmt: skip
        self._refused = Counter("keepstep_commits_refused", "Commits refused", ["error"], registry=into)
        self._leases_lost = Counter("keepstep_leases_lost", "Leases that others took over", registry=into)
        self._open = Gauge("keepstep_runs_open", "Open runs of the namespace", ["condition"], registry=into)
        self._waiting = Gauge("keepstep_queue_waiting", "Steps and runs waiting on a queue", ["queue"], registry=into)
        self._held = Gauge("keepstep_queue_held", "Slots in use of a queue", ["queue"], registry=into)
        self._paused = Gauge("keepstep_queue_paused", "1 if a queue is paused", ["queue"], registry=into)
        self._leases = Gauge("keepstep_leases", "Workers of the database", registry=into)
        self._runs_held = Gauge("keepstep_leases_runs", "Runs that workers hold", registry=into)
        self._tasks_held = Gauge("keepstep_leases_tasks", "Tasks that workers hold", registry=into)

    # moments

    def run_begun(self, run: Identity, waited_seconds: float) -> None:
        self._begun.labels(run.type).inc()
        self._begin_delay.labels(run.type).observe(waited_seconds)

    def run_replayed(self, run: Identity, lost: Sequence[LostAttempt]) -> None:
        self._replayed.labels(run.type).inc()
        for each in lost:
            self._lost.labels(each.attempt.step).inc()

    def run_blocked(self, run: Identity) -> None:
        self._blocked.labels(run.type).inc()

    def run_closed(self, run: Identity, status: Status, ended_at: int, said: Sequence[Said], reopened_at: int) -> None:
        self._closed.labels(run.type, status.value).inc()

    def run_said(self, run: Identity, said: Said) -> None:
        self._said.labels(run.type, said.kind.value, said.outcome.value).inc()
        if said.seconds is not None:
            self._said_seconds.labels(run.type, said.kind.value).observe(said.seconds)

    def attempt_begun(self, attempt: ObservedAttempt) -> None:
        self._running.inc()
        if attempt.queue is not None and attempt.waited_seconds is not None:
            self._task_delay.labels(attempt.queue).observe(attempt.waited_seconds)

    def attempt_ended(
        self,
        attempt: ObservedAttempt,
        begun: object,
        outcome: AttemptOutcome,
        seconds: float,
        error: BaseException | None,
    ) -> None:
        self._running.dec()
        self._attempts.labels(attempt.step, outcome.value).inc()
        self._step_seconds.labels(attempt.step).observe(seconds)

    def committed(self, seconds: float, error: BaseException | None) -> None:
        if error is None:
            self._commit_seconds.observe(seconds)
        else:
            self._refused.labels(type(error).__name__).inc()

    def lease_lost(self) -> None:
        self._leases_lost.inc()

    # what is read when it is asked for

    async def read(self, journal: Journal, namespace: str) -> bytes:
        """All metrics, as Prometheus reads them. Raises ``StoreUnavailable`` where the database cannot be asked."""
        await self._count_open(journal, namespace)
        for gauge in (self._waiting, self._held, self._paused):
            gauge.clear()
        for state in await journal.list_queues():
            self._waiting.labels(state.queue.name).set(state.waiting)
            self._held.labels(state.queue.name).set(state.held)
            self._paused.labels(state.queue.name).set(state.queue.is_paused)
        leases = await journal.list_leases()
        self._leases.set(len(leases))
        self._runs_held.set(sum(each.runs_held for each in leases))
        self._tasks_held.set(sum(each.tasks_held for each in leases))
        return generate_latest(self.registry)

    async def _count_open(self, journal: Journal, namespace: str) -> None:
        """By condition: among them ``blocked``, and ``waiting`` for an answer about an uncertain step."""
        left = await journal.count_runs(namespace, statuses=(Status.RUNNING,))
        for condition in Condition:
            if condition is Condition.NONE:
                continue
            found = await journal.count_runs(namespace, statuses=(Status.RUNNING,), conditions=(condition,))
            self._open.labels(condition.value).set(found)
            left -= found
        self._open.labels(IN_NO_CONDITION).set(max(left, 0))
