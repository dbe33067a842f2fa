"""The people in the warehouse: they see a task on their screen, fetch the item, and say so."""

from __future__ import annotations

from .books import Books
from .later import Later
from .mischief import Mischief
from .plan import Plan
from .request import Answer, Asked, Department
from .webhooks import Callback

PEOPLE = ("Ada", "Bo", "Chidi", "Dora", "Emil")


class Pickers:
    """Human beings: slower than machines, and they finish what they began."""

    def __init__(self, books: Books, mischief: Mischief, plan: Plan, later: Later, callback: Callback) -> None:
        self._books = books
        self._mischief = mischief
        self._plan = plan
        self._later = later
        self._callback = callback

    def doors(self) -> dict[str, Department]:
        """What can be asked here."""
        return {"/pickers/tasks": self.show_task}

    def show_task(self, asked: Asked) -> Answer:
        """Somebody will see the task."""
        self._books.enter(asked.order, "task shown", note=asked.title)
        self._later(self._mischief.seconds(self._plan.picking, "picking", asked.order), lambda: self._pick(asked))
        return Answer(202, {})

    async def _pick(self, asked: Asked) -> None:
        person = PEOPLE[sum(asked.order.encode()) % len(PEOPLE)]
        self._books.enter(asked.order, "picked", note=person)
        await self._callback(asked.order, "item picked", asked.reply_to, {"by": person})
