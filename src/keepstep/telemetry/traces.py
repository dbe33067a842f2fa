"""Traces: a run as one OpenTelemetry trace, whichever processes it goes through. Needs ``keepstep[otel]``.

Ids are derived from the run: its trace id and the id of its root span from the run id, that of an attempt's span from
the step's key, the number of the attempt, and the epoch of the owner that executes it. So no process has to tell
another one where to go on, histories hold nothing of it, and a span that died with its process, to which spans of the
step's own code may already point, is closed under its own id by whoever takes the run over.

The root span is sent when the run closes, by who closes it; until then its children are there without it. Of a run
that is ended by force from a process without observers, it is sent by the worker that had the run, if one had it, when
that comes to know. A child run and one that continues another have traces of their own, linked to the run that they
come from. Replay emits nothing.

A span that is left open by a worker which gives the run back, or loses it, is closed by who takes the run over too, so
that no span is sent twice. Where nobody takes it over, as after ``terminate``, it is not sent; the root span is.

Signals and updates are events of the root span, from the run's history, so that they are all there whoever closes it.
A query, and an update that was rejected, leave nothing in a history: each is a span of its own below the root.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags

from keepstep.journal import InvalidInput, Status
from keepstep.runtime.execution import Identity
from keepstep.worker.observer import AttemptOutcome, LostAttempt, ObservedAttempt, Observer
from keepstep.worker.said import Said, SaidKind, SaidOutcome

SUCCESSES = (Status.COMPLETED, Status.CONTINUED)

UNSUCCESSFUL = (SaidOutcome.FAILED, SaidOutcome.REJECTED)

DIED = "the worker died, or was cut off from the run, before the end of the attempt was recorded"


def root_of(run_id: str) -> SpanContext:
    """Where the trace of a run begins: for links to it from anywhere."""
    return SpanContext(_derived("trace", run_id, 16), _derived("run", run_id, 8), True, TraceFlags(TraceFlags.SAMPLED))


def span_id_of(attempt: ObservedAttempt) -> int:
    """The id of an attempt's span, in whichever process."""
    return _derived("attempt", f"{attempt.run_id}/{attempt.epoch}/{attempt.number}/{attempt.key}", 8)


def _below(run_id: str) -> contexts.Context:
    """Where the spans of a run belong."""
    return trace.set_span_in_context(NonRecordingSpan(root_of(run_id)), contexts.Context())


def _words(said: Said) -> dict[str, str]:
    """What is told of it as attributes."""
    words = {"keepstep.message": said.name, "keepstep.outcome": said.outcome.value}
    return words | {"keepstep.message_id": said.id} if said.id else words


def _derived(what: str, of: str, size: int) -> int:
    digest = blake2b(of.encode(), digest_size=size, person=what.encode()).digest()
    return int.from_bytes(digest) or 1  # 0 is no id


class RunTraces(Observer):
    """``Engine(url, observers=[RunTraces()])``.

    :param provider: of an OpenTelemetry SDK; by default the one that the process has set.

    Raises ``InvalidInput`` where none has been set yet.
    """

    def __init__(self, provider: trace.TracerProvider | None = None) -> None:
        provider = provider or trace.get_tracer_provider()
        if isinstance(provider, trace.ProxyTracerProvider):
            raise InvalidInput("RunTraces() needs a tracer provider: hand one in, or set one for the process before")
        tracer: Any = provider.get_tracer("keepstep.runs")
        self._tracer: trace.Tracer = tracer
        ids = getattr(tracer, "id_generator", None)  # an SDK that is switched off has none, and emits nothing
        if ids is not None and not isinstance(ids, _Ids):
            tracer.id_generator = ids = _Ids(ids)
        self._ids: _Ids | None = ids

    def run_started(self, run_id: str, workflow_id: str, workflow: str) -> None:
        """A span of the starter's own trace, which leads to that of the run."""
        attributes = {"keepstep.run_id": run_id, "keepstep.workflow_id": workflow_id, "keepstep.workflow": workflow}
        links = [Link(root_of(run_id))]
        self._tracer.start_span(f"start {workflow}", kind=SpanKind.PRODUCER, attributes=attributes, links=links).end()

    def run_replayed(self, run: Identity, lost: Sequence[LostAttempt]) -> None:
        for each in lost:
            span = self._start_attempt(each.attempt, each.since)
            span.set_attribute("keepstep.outcome", "lost")
            span.set_status(StatusCode.ERROR, DIED)
            span.end()

    def run_said(self, run: Identity, said: Said) -> None:
        if said.kind is not SaidKind.QUERY and said.outcome is not SaidOutcome.REJECTED:
            return
        began = said.at - round((said.seconds or 0.0) * 1e6)
        span = self._tracer.start_span(
            f"{said.kind.value} {said.name}", _below(run.run_id), kind=SpanKind.SERVER, start_time=began * 1000,
            attributes={"keepstep.run_id": run.run_id, "keepstep.workflow_id": run.workflow_id, **_words(said)},
        )  # fmt: skip
        if said.outcome in UNSUCCESSFUL:
            span.set_status(StatusCode.ERROR, said.outcome.value)
        span.end(said.at * 1000)

    def run_closed(self, run: Identity, status: Status, ended_at: int, said: Sequence[Said], reopened_at: int) -> None:
        """The root span; of a run that was opened again after that was sent, another one below it."""
        links = [
            Link(root_of(run_id), {"keepstep.relation": relation})
            for relation, run_id in (("parent", run.parent_run_id), ("continues", run.continued_from))
            if run_id
        ]
        root = root_of(run.run_id)
        attributes = {
            "keepstep.run_id": run.run_id,
            "keepstep.workflow_id": run.workflow_id,
            "keepstep.workflow": run.type,
            "keepstep.namespace": run.namespace,
            "keepstep.status": status.value,
        }
        if reopened_at:
            span_id = _derived("again", f"{run.run_id}/{reopened_at}", 8)
            span = self._start(
                f"workflow {run.type} again", _below(run.run_id), span_id, attributes=attributes,
                start_time=reopened_at * 1000,
            )  # fmt: skip
        else:
            span = self._start(
                f"workflow {run.type}", contexts.Context(), root.span_id, root.trace_id,
                attributes=attributes, links=links, start_time=run.started_at * 1000,
            )  # fmt: skip
        for each in said:
            span.add_event(f"{each.kind.value} {each.outcome.value}", _words(each), each.at * 1000)
        if status not in SUCCESSES:
            span.set_status(StatusCode.ERROR, status.value)
        span.end(ended_at * 1000)

    def attempt_begun(self, attempt: ObservedAttempt) -> object:
        span = self._start_attempt(attempt, None)
        return span, contexts.attach(trace.set_span_in_context(span))

    def attempt_ended(
        self,
        attempt: ObservedAttempt,
        begun: Any,
        outcome: AttemptOutcome,
        seconds: float,
        error: BaseException | None,
    ) -> None:
        if begun is None:
            return
        span, token = begun
        if trace.get_current_span() is span:  # elsewhere the context has ended with the attempt
            contexts.detach(token)
        if outcome is AttemptOutcome.LEFT:
            return
        span.set_attribute("keepstep.outcome", outcome.value)
        if error is not None:
            span.record_exception(error)
        if outcome not in (AttemptOutcome.COMPLETED, AttemptOutcome.CANCELLED):
            span.set_status(StatusCode.ERROR, str(error))
        began = getattr(span, "start_time", None)  # one that is not sampled has none
        span.end(None if began is None else began + round(seconds * 1e9))

    def _start_attempt(self, attempt: ObservedAttempt, since: int | None) -> Span:
        parent = _below(attempt.run_id)
        attributes: dict[str, str | int] = {
            "keepstep.run_id": attempt.run_id,
            "keepstep.workflow_id": attempt.workflow_id,
            "keepstep.step_key": attempt.key,
            "keepstep.attempt": attempt.number,
        }
        if attempt.queue is not None:
            attributes["keepstep.queue"] = attempt.queue
        start_time = None if since is None else since * 1000
        span_id = span_id_of(attempt)
        return self._start(f"step {attempt.step}", parent, span_id, attributes=attributes, start_time=start_time)

    def _start(
        self, name: str, context: contexts.Context, span_id: int, trace_id: int | None = None, **options: Any
    ) -> Span:
        if self._ids is not None:
            self._ids.give(span_id, trace_id)
        try:
            return self._tracer.start_span(name, context, **options)
        finally:
            if self._ids is not None:
                self._ids.give(None, None)


class _Ids:
    """An id generator that gives the ids it was told to, and else those of another one."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._next = threading.local()

    def give(self, span_id: int | None, trace_id: int | None) -> None:
        """The ids of the span that this thread starts next; None for what is drawn."""
        self._next.span_id, self._next.trace_id = span_id, trace_id

    def generate_span_id(self) -> int:
        given: int | None = getattr(self._next, "span_id", None)
        return int(self._inner.generate_span_id()) if given is None else given

    def generate_trace_id(self) -> int:
        given: int | None = getattr(self._next, "trace_id", None)
        return int(self._inner.generate_trace_id()) if given is None else given

    def is_trace_id_random(self) -> bool:
        """Derived ones are spread as evenly as random ones."""
        return True
