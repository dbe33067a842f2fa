"""Journal: the client's part of the journal's port, for clients that are Keepstep's own library.

``Engine("http://…")`` is the library with these calls in the place of a database (``journal/remote``). Programs in
other languages, and people, have the calls of the other nouns, which say the same things in words that need no
knowledge of how runs are kept.

With ``as_stored`` values go to the store and come from it as they are, sealed by the client or not at all; without it
the server seals and opens them. Who may only read is never given them as they are: it could not be told what is among
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

import msgspec

from keepstep.client.access.role import Role
from keepstep.client.namespace import rooms_of
from keepstep.client.searching import WITH_ERROR
from keepstep.journal import InvalidInput, Journal, Queue, QueueChange, Run, narrowed_journal
from keepstep.journal.limits import COMMIT_BYTES_MAX
from keepstep.journal.remote import words
from keepstep.queues.limits import as_plain, limits_of
from keepstep.queues.starting import LANGUAGE
from keepstep.runtime.data import checked_name
from keepstep.server.call import Call
from keepstep.server.refusal import Refusal
from keepstep.server.route import Query, Routes
from keepstep.server.sought import check_grouping, check_predicate, check_search, fields_of
from keepstep.server.veil import veiled_event, veiled_run, veiled_state
from keepstep.server.warrant import Warrant, check_values
from keepstep.worker.attempt import ATTEMPT
from keepstep.worker.opening import HUMAN_TASK
from keepstep.worker.reply import QUERY, UPDATE

routes = Routes("journal")

WRITTEN_BYTES_MAX = COMMIT_BYTES_MAX * 4 // 3 + 64 * 1024
"""What one commit may carry, as JSON has it."""

EVENTS_BYTES_MAX = 16 * 1024 * 1024
"""Of the events of one answer; one more is always there."""

ENDINGS_BYTES_MAX = 1024 * 1024
"""Of last events that come with a page of runs; one more at most."""

GROUPS_MAX = 1_000

STATE_TO_READ = (HUMAN_TASK, ATTEMPT)
"""Kinds of a Python run's state that who may only look can see."""


class JournalQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether values are taken as they are."""

    as_stored: bool = False


def _store(call: Call, query: JournalQuery) -> Journal:
    """What answers. Raises ``Refusal``."""
    if not query.as_stored:
        return call.engine.journal
    if not call.may_answer:
        message = "values as they are stored are for the role operate: what may not be read can be among them"
        raise Refusal(403, "forbidden", message)
    store, namespace = call.desk.engines.store, call.engine.namespace
    return narrowed_journal(store, namespace, *rooms_of(namespace))


def _warrant(call: Call, journal: Journal) -> Warrant:
    return Warrant(journal, call.engine.namespace, lambda role: call.caller.may(role, call.engine.namespace))


def _limit(limit: int) -> int:
    if not 0 < limit <= words.PAGE_MAX:
        raise InvalidInput(f"the limit of a page is from 1 to {words.PAGE_MAX:,}, not {limit}")
    return limit


@routes.get("/journal", role=Role.READ)
async def greet_client(call: Call, query: JournalQuery) -> words.Greeting:
    """Tell a client of the library what it has to know first."""
    journal = call.engine.journal
    return words.Greeting(
        protocol=words.PROTOCOL,
        version=version("keepstep"),
        now=journal.clock.now(),
        value_bytes_max=journal.value_bytes_max,
    )


# writing


@routes.post("/journal/start", role=Role.OPERATE, refuses=(403, 409, 410), body_bytes_max=WRITTEN_BYTES_MAX)
async def journal_start(call: Call, query: JournalQuery, body: words.StartRun) -> words.HasStarted:
    """Start a run that a client has made, or attach to the one of its workflow id."""
    journal = _store(call, query) if query.as_stored else call.acting.journal
    await _warrant(call, journal).check_start(body.new)
    started = await journal.start(body.new)
    if not query.as_stored and not call.decodes and started.input_digest != body.new.input_digest:
        started = msgspec.structs.replace(started, input_digest=_another(body.new.input_digest))
    return words.HasStarted(started)


def _another(digest: bytes) -> bytes:
    """A digest that is not this one, in the place of one that must not be seen: whoever starts compares them."""
    return bytes([digest[0] ^ 1]) + digest[1:] if digest else digest


@routes.post("/journal/commit", role=Role.OPERATE, refuses=(403, 409, 410), body_bytes_max=WRITTEN_BYTES_MAX)
async def journal_commit(call: Call, query: JournalQuery, body: words.Change) -> words.HasCommitted:
    """Change a run that is as the client has read it: end it by force, reopen, pause or resume it, copy it."""
    journal = _store(call, query)
    await _warrant(call, journal).check_change(body)
    return words.HasCommitted(await journal.commit(body.as_commit()))


@routes.post("/journal/was_committed", role=Role.OPERATE)
async def journal_was_committed(call: Call, query: JournalQuery, body: words.CommitIs) -> words.Known:
    """Tell whether a change has happened whose answer was lost."""
    check_values(body)
    return words.Known(await _store(call, query).was_committed(body.commit_id))


@routes.post("/journal/send", role=Role.OPERATE, refuses=(410,), body_bytes_max=WRITTEN_BYTES_MAX)
async def journal_send(call: Call, query: JournalQuery, body: words.SendMessage) -> words.HasSent:
    """Say something to a run. It is durable when this is answered."""
    journal = _store(call, query)
    await _warrant(call, journal).check_message(body.message)
    return words.HasSent(await journal.send(body.message))


@routes.post("/journal/register_attributes", role=Role.ADMIN)
async def journal_register_attributes(call: Call, query: JournalQuery, body: words.RegisterAttributes) -> words.Done:
    """Give attributes their types before the first run has a value."""
    check_values(body)
    await _store(call, query).register_attributes(body.named)
    return words.Done()


@routes.post("/journal/pause_queue", role=Role.OPERATE)
async def journal_pause_queue(call: Call, query: JournalQuery, body: QueueChange) -> Queue:
    """Pause or resume a queue."""
    if body.overridden or body.withdrawn:
        raise InvalidInput("limits of queues are changed by another call, for which another role is needed")
    return await _changed_queue(call, query, body)


@routes.post("/journal/change_queue", role=Role.ADMIN)
async def journal_change_queue(call: Call, query: JournalQuery, body: QueueChange) -> Queue:
    """Change limits of a queue."""
    return await _changed_queue(call, query, body)


async def _changed_queue(call: Call, query: JournalQuery, body: QueueChange) -> Queue:
    checked_name(body.name, "the name of a queue")
    limits_of(body.name, dict.fromkeys((*body.overridden, *body.withdrawn)))
    limits_of(body.name, as_plain(body.override))
    return await _store(call, query).change_queue(body)


# asking


@routes.post("/journal/ask_query", role=Role.READ, refuses=(409,))
async def journal_ask_query(call: Call, query: JournalQuery, body: words.AskRun) -> words.Answered:
    """Ask a query of a run; null where nobody has answered in time."""
    return await _answered(call, query, body, QUERY)


@routes.post("/journal/ask_update", role=Role.OPERATE, refuses=(409, 410), body_bytes_max=WRITTEN_BYTES_MAX)
async def journal_ask_update(call: Call, query: JournalQuery, body: words.AskRun) -> words.Answered:
    """Ask for an update of a run; null where nobody has answered in time."""
    return await _answered(call, query, body, UPDATE)


async def _answered(call: Call, query: JournalQuery, body: words.AskRun, kind: str) -> words.Answered:
    check_values(body)
    if not 0 < body.timeout_seconds <= words.ASK_SECONDS_MAX:
        raise InvalidInput(f"timeout_seconds is up to {words.ASK_SECONDS_MAX:g}, not {body.timeout_seconds:g}")
    try:
        asked = _store(call, query).ask(body.run_id, kind, body.name, body.data, body.timeout_seconds)
        return words.Answered(await asked)
    except TimeoutError:
        return words.Answered(None)


# reading


@routes.post("/journal/read_run", role=Role.READ)
async def journal_read_run(call: Call, query: JournalQuery, body: words.RunIs) -> words.FoundRun:
    """The run of a run id, or null."""
    check_values(body)
    run = await _store(call, query).read_run(body.run_id)
    return words.FoundRun(run if run is None or call.may_answer else veiled_run(run))


@routes.post("/journal/find_run", role=Role.READ)
async def journal_find_run(call: Call, query: JournalQuery, body: words.FindRun) -> words.FoundRun:
    """The newest run of a workflow id, or null."""
    check_values(body)
    run = await _store(call, query).find_run(body.namespace, body.workflow_id)
    return words.FoundRun(run if run is None or call.may_answer else veiled_run(run))


@routes.post("/journal/list_runs", role=Role.READ)
async def journal_list_runs(call: Call, query: JournalQuery, body: words.ListRuns) -> words.FoundRuns:
    """Runs, the newest first."""
    check_values(body)
    found = await _store(call, query).list_runs(
        body.namespace,
        statuses=body.statuses,
        conditions=body.conditions,
        types=body.types,
        before=None if body.before is None else (body.before.started_at, body.before.run_id),
        limit=_limit(body.limit),
    )
    return words.FoundRuns(found if call.may_answer else list(map(veiled_run, found)))


@routes.post("/journal/count_runs", role=Role.READ)
async def journal_count_runs(call: Call, query: JournalQuery, body: words.ListRuns) -> words.Counted:
    """How many runs fit; pages play no part."""
    check_values(body)
    count = await _store(call, query).count_runs(
        body.namespace, statuses=body.statuses, conditions=body.conditions, types=body.types
    )
    return words.Counted(count)


@routes.post("/journal/search_runs", role=Role.READ)
async def journal_search_runs(call: Call, query: JournalQuery, body: words.SearchRuns) -> words.FoundPage:
    """A page of the runs that a search finds."""
    journal = _store(call, query)
    check_search(body.search, body.after, await fields_of(journal, body.namespace))
    page = await journal.search_runs(body.namespace, body.search, after=body.after, limit=_limit(body.limit))
    endings = await _endings(journal, page.runs)
    if not call.may_answer:
        page = msgspec.structs.replace(page, runs=list(map(veiled_run, page.runs)))
    return words.FoundPage(page, endings)


async def _endings(journal: Journal, runs: Sequence[Run]) -> list[words.Ending]:
    found: list[words.Ending] = []
    size = 0
    for run in runs:
        if run.status in WITH_ERROR and run.language == LANGUAGE and size <= ENDINGS_BYTES_MAX:
            last = await journal.read_events(run.run_id, run.last_seq - 1, 1)
            size += sum(len(event.data) for event in last)
            found += [words.Ending(run.run_id, event) for event in last]
    return found


@routes.post("/journal/count_found", role=Role.READ)
async def journal_count_found(call: Call, query: JournalQuery, body: words.CountFound) -> words.Counted:
    """How many runs a search finds."""
    journal = _store(call, query)
    check_predicate(body.where, await fields_of(journal, body.namespace))
    return words.Counted(await journal.count_found(body.namespace, body.where))


@routes.post("/journal/count_groups", role=Role.READ)
async def journal_count_groups(call: Call, query: JournalQuery, body: words.CountGroups) -> words.Grouped:
    """How many of the runs that a search finds have each value of a field."""
    journal = _store(call, query)
    known = await fields_of(journal, body.namespace)
    check_predicate(body.where, known)
    check_grouping(body.field, known)
    if not 0 < body.groups_max <= GROUPS_MAX:
        raise InvalidInput(f"groups_max is from 1 to {GROUPS_MAX:,}, not {body.groups_max}")
    found = await journal.count_groups(body.namespace, body.where, body.field, body.groups_max)
    return words.Grouped([words.ValueGroup(value, count) for value, count in found])


@routes.post("/journal/list_attributes", role=Role.READ)
async def journal_list_attributes(call: Call, query: JournalQuery, body: words.InNamespace) -> words.FoundAttributes:
    """What runs can be searched by."""
    return words.FoundAttributes(await _store(call, query).list_attributes(body.namespace))


@routes.post("/journal/list_definitions", role=Role.READ)
async def journal_list_definitions(call: Call, query: JournalQuery, body: words.InNamespace) -> words.FoundDefinitions:
    """What workers have published."""
    return words.FoundDefinitions(await _store(call, query).list_definitions(body.namespace))


@routes.post("/journal/list_leases", role=Role.READ)
async def journal_list_leases(call: Call, query: JournalQuery, body: words.Nothing) -> words.FoundLeases:
    """Workers that have not said goodbye."""
    return words.FoundLeases(await _store(call, query).list_leases())


@routes.post("/journal/list_queues", role=Role.READ)
async def journal_list_queues(call: Call, query: JournalQuery, body: words.Nothing) -> words.FoundQueues:
    """Queues of which something is kept."""
    return words.FoundQueues(await _store(call, query).list_queues())


@routes.post("/journal/list_backlogs", role=Role.READ)
async def journal_list_backlogs(call: Call, query: JournalQuery, body: words.Nothing) -> words.FoundBacklogs:
    """What waits on queues, whether something is kept of them or not."""
    return words.FoundBacklogs(await _store(call, query).list_backlogs())


@routes.post("/journal/read_flow", role=Role.READ)
async def journal_read_flow(call: Call, query: JournalQuery, body: words.ReadFlow) -> words.FoundFlow:
    """How many runs began and ended in each stretch of a window; full stretches are counted in part."""
    body.window.check()
    return words.FoundFlow(await _store(call, query).read_flow(body.namespace, body.window))


@routes.post("/journal/find_place", role=Role.READ)
async def journal_find_place(call: Call, query: JournalQuery, body: words.RunIs) -> words.FoundPlace:
    """Where on its queue a run waits, or null."""
    check_values(body)
    return words.FoundPlace(await _store(call, query).find_place(body.run_id))


@routes.post("/journal/read_events", role=Role.READ, refuses=(409,))
async def journal_read_events(call: Call, query: JournalQuery, body: words.ReadEvents) -> words.FoundEvents:
    """A page of a history; `is_cut` if it has fewer events than there are up to the limit, because they are large."""
    check_values(body)
    journal = _store(call, query)
    events = await journal.read_events(body.run_id, body.after_seq, _limit(body.limit))
    kept, size = 0, 0
    while kept < len(events) and (not kept or size + len(events[kept].data) <= EVENTS_BYTES_MAX):
        size += len(events[kept].data)
        kept += 1
    shown = events[:kept]
    if events and not call.may_answer and await _is_python(journal, body.run_id):
        shown = list(map(veiled_event, shown))
    return words.FoundEvents(shown, is_cut=kept < len(events))


@routes.post("/journal/read_state", role=Role.READ, refuses=(409,))
async def journal_read_state(call: Call, query: JournalQuery, body: words.ReadState) -> words.FoundState:
    """What is remembered of a run outside of its history."""
    check_values(body)
    journal = _store(call, query)
    if not call.may_answer and await _is_python(journal, body.run_id):
        _check_kind(body.kind)
    found = await journal.read_state(body.run_id, body.kind)
    return words.FoundState([_remembered(call, body.run_id, *each, data) for each, data in found.items()])


@routes.post("/journal/list_state", role=Role.READ, refuses=(409,))
async def journal_list_state(call: Call, query: JournalQuery, body: words.ListState) -> words.FoundState:
    """State of one kind of all open runs."""
    check_values(body)
    if not call.may_answer:
        _check_kind(body.kind)
    after = None if body.after is None else (body.after.run_id, body.after.key)
    found = await _store(call, query).list_state(body.namespace, body.kind, after=after, limit=_limit(body.limit))
    return words.FoundState([_remembered(call, run_id, body.kind, key, data) for run_id, key, data in found])


def _remembered(call: Call, run_id: str, kind: str, key: str, data: bytes) -> words.Remembered:
    return words.Remembered(run_id, kind, key, data if call.may_answer else veiled_state(kind, data))


def _check_kind(kind: str | None) -> None:
    if kind not in STATE_TO_READ:
        raise Refusal(403, "forbidden", "what else is remembered of a run is for the role operate")


async def _is_python(journal: Journal, run_id: str) -> bool:
    run = await journal.read_run(run_id)
    return run is None or run.language == LANGUAGE


@routes.post("/journal/read_messages", role=Role.READ)
async def journal_read_messages(call: Call, query: JournalQuery, body: words.RunsAre) -> words.FoundMessages:
    """Messages that runs have not taken in yet."""
    check_values(body)
    if len(body.run_ids) > words.RUNS_NAMED_MAX:
        raise InvalidInput(f"of {words.RUNS_NAMED_MAX:,} runs at most can be asked at once")
    return words.FoundMessages(await _store(call, query).read_messages_of(body.run_ids))


@routes.post("/journal/read_audit", role=Role.READ)
async def journal_read_audit(call: Call, query: JournalQuery, body: words.RunIs) -> words.FoundAudit:
    """What operators did to a run."""
    check_values(body)
    return words.FoundAudit(await _store(call, query).read_audit(body.run_id))
