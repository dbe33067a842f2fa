"""What becomes of an expense: somebody decides, and it is paid once."""

from __future__ import annotations

from pydantic import BaseModel, PositiveInt

import keepstep
from keepstep import step, workflow

SMALL_CENTS = 2_000


class Expense(BaseModel):
    """What somebody has spent."""

    who: str
    cents: PositiveInt
    what: str


class Decision(BaseModel):
    """What the manager says."""

    approved: bool
    remark: str = ""


class Answer(BaseModel):
    """What has come of it."""

    paid: bool
    text: str


@step(name="expenses.pay")
def pay(expense: Expense) -> str:
    """The bank's library is blocking, so the step is sync: it runs in a thread. The number of the transfer."""
    return f"transfer-{keepstep.step_info().idempotency_key[:4]}"


@workflow(timeout="30d")
async def reimburse(expense: Expense) -> Answer:
    """Small amounts are paid at once, others when a person has agreed."""
    if expense.cents > SMALL_CENTS:
        keepstep.set_status("waits for a manager")
        title = f"{expense.who}: {expense.what} for {expense.cents / 100:.2f}"
        decision = await keepstep.human_task(title, form=Decision, assignee="manager", due="7d")
        if not decision.approved:
            return Answer(paid=False, text=decision.remark)
    await pay(expense)
    return Answer(paid=True, text=f"{expense.cents} cents to {expense.who}")
