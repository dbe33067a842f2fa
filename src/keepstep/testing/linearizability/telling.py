"""How a history is told to people: one line a call, in the order of the calls, with run ids made short."""

from __future__ import annotations

from collections.abc import Sequence

from .checker import find_order
from .model import ClientModel
from .operation import Answer, Call, Ended, Operation, Program, Ran, Refused, Seen, Signal, Start, Told, Update


def tell(history: Sequence[Operation]) -> str:
    """The calls and answers of one workflow id; those that fit into the longest order are numbered in that order."""
    order = find_order(ClientModel(), history).order
    places = {index: place for place, index in enumerate(order, 1)}
    short = _short_names(history)
    first = min((each.invoked for each in history), default=0)
    rows: list[tuple[str, ...]] = [("order", "called", "answered", "client", "call", "answer")]
    rows += [_row(each, places.get(index), short, first) for index, each in enumerate(history)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(f"    {line}" for line in lines)


def _row(each: Operation, place: int | None, short: dict[str, str], first: int) -> tuple[str, ...]:
    return (
        "" if place is None else f"{place}.",
        str(each.invoked - first),
        "never" if each.completed is None else str(each.completed - first),
        each.client,
        tell_call(each.call, short),
        "?" if each.answer is None else tell_answer(each.answer, short),
    )


def _short_names(history: Sequence[Operation]) -> dict[str, str]:
    """``run 1``, ``run 2``, … for the runs that were really started, in the order of their starts' calls."""
    names: dict[str, str] = {}
    for each in history:
        if isinstance(each.call, Start) and (each.answer is None or each.answer == Ran(each.call.run_id)):
            names[each.call.run_id] = f"run {len(names) + 1}"
    return names


def tell_call(call: Call, short: dict[str, str]) -> str:
    """A call in words."""
    if isinstance(call, Start):
        made = f" as {short[call.run_id]}" if call.run_id in short else ""
        policies = f"if_running={call.if_running}, if_closed={call.if_closed}"
        return f"start({_tell_program(call.program)}, {policies}){made}"
    target = "the newest run" if call.run_id is None else short.get(call.run_id, call.run_id)
    if isinstance(call, Signal):
        once = f", id={call.message_id!r}" if call.message_id is not None else ""
        return f"signal({target}, {call.note!r}{once})"
    if isinstance(call, Update):
        return f"update({target}, {call.note!r}, id={call.update_id!r})"
    return f"{type(call).__name__.lower()}({target})"


def _tell_program(program: Program) -> str:
    return f"{program.kind} of {program.size}"


def tell_answer(answer: Answer, short: dict[str, str]) -> str:
    """An answer in words."""
    match answer:
        case Ran():
            return short.get(answer.run_id, answer.run_id)
        case Seen():
            return f"{short.get(answer.run_id, answer.run_id)} is {answer.status}"
        case Told():
            return f"has {list(answer.notes)}"
        case Ended():
            return f"{answer.status} {list(answer.notes)}" if answer.notes else answer.status
        case Refused():
            return answer.error
    return "accepted"
