"""Asks: questions to runs, answered by whoever owns them or picks them up. A crash loses them."""

from __future__ import annotations

from keepstep.journal.ask import Ask
from keepstep.journal.errors import Fenced

from .disk import AskRow, RunRow, Transaction


def put_ask(tx: Transaction, ask: AskRow) -> str:
    tx.disk.get(ask.run_id)
    ask_id = f"ask-{tx.disk.next_number('ask')}"
    tx.disk.asks[ask_id] = ask
    tx.news.asks(ask.run_id)
    return ask_id


def take_asks(tx: Transaction, lease_id: str, limit: int) -> list[Ask]:
    """Hand out asks that wait, oldest first, each once."""
    if lease_id not in tx.disk.leases:
        raise Fenced(f"lease {lease_id} is over; open another")
    taken: list[Ask] = []
    for ask_id, ask in tx.disk.asks.items():
        run = tx.disk.runs.get(ask.run_id)
        if len(taken) < limit and run is not None and _is_for(tx, ask, run, lease_id):
            ask.taken = True
            taken.append(
                Ask(
                    ask_id=ask_id,
                    run_id=ask.run_id,
                    kind=ask.kind,
                    name=ask.name,
                    data=ask.data,
                    deadline=ask.deadline,
                )
            )
    return taken


def _is_for(tx: Transaction, ask: AskRow, row: RunRow, lease_id: str) -> bool:
    if ask.taken or ask.deadline < tx.now:
        return False
    if row.run.owner is not None:
        return row.run.owner == lease_id
    lease = tx.disk.leases[lease_id].lease
    return row.run.language in lease.languages and row.run.queue in lease.queues


def take_answered(tx: Transaction, ask_id: str) -> AskRow | None:
    """Remove an ask that is being answered or given up."""
    return tx.disk.asks.pop(ask_id, None)
