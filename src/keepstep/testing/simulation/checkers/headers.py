"""Headers: every step knows for whom it is executed, however often its run was taken over, continued, or had children.

What an interceptor adds to one call goes with that call alone. Runs of schedules carry nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from keepstep.testing.simulation.courier import CALL, CUSTOMER
from keepstep.testing.simulation.features import Feature
from keepstep.testing.simulation.record import Record


def check(record: Record) -> Iterator[str]:
    if Feature.HEADERS not in record.features:
        return
    customers = {run_id: _customer_of(record, run_id) for run_id in record.runs}
    for each in record.executions:
        if each.run_id not in customers:
            continue
        customer = customers[each.run_id]
        wanted = {CALL: each.key} if customer is None else {CUSTOMER: customer, CALL: each.key}
        if each.headers != wanted:
            yield f"{each} carried {each.headers} in place of {wanted}"


def _customer_of(record: Record, run_id: str) -> str | None:
    """The workflow id under which a customer has asked for what the run belongs to."""
    run = record.runs[run_id].run
    if run.parent_run_id is not None and run.parent_run_id in record.runs:
        return _customer_of(record, run.parent_run_id)
    return run.workflow_id if run.workflow_id in record.starts else None
