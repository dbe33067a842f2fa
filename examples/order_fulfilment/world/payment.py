"""The payment gateway: takes requests at once, asks the bank, and says later by webhook what became of them."""

from __future__ import annotations

from .books import Books
from .later import Later
from .mischief import Fate, Mischief
from .plan import Plan
from .request import Answer, Asked, Department, nothing_to_do, refused
from .webhooks import Callback


class PaymentGateway:
    """Charges and refunds. Two charges under two idempotency keys are two charges: it cannot know better."""

    def __init__(self, books: Books, mischief: Mischief, plan: Plan, later: Later, callback: Callback) -> None:
        self._books = books
        self._mischief = mischief
        self._plan = plan
        self._later = later
        self._callback = callback

    def doors(self) -> dict[str, Department]:
        """What can be asked here."""
        return {"/payments/charges": self.charge, "/payments/refunds": self.refund}

    def charge(self, asked: Asked) -> Answer:
        """Takes the request; the bank decides later."""
        if self._books.entries(asked.order, "charge called off"):
            return refused("called_off")
        self._books.enter(asked.order, "charge asked for", note=asked.amount)
        self._later(self._mischief.seconds(self._plan.bank, "bank", asked.order), lambda: self._decide(asked))
        return Answer(202, {"state": "pending"})

    def refund(self, asked: Asked) -> Answer:
        """Gives back what was taken; what was not taken yet never will be."""
        if self._books.entries(asked.order, "charged") > self._books.entries(asked.order, "refunded"):
            self._books.enter(asked.order, "refunded")
            return Answer(200, {"state": "refunded"})
        if self._books.entries(asked.order, "charge called off") or self._books.entries(asked.order, "refunded"):
            return nothing_to_do(state="settled")
        self._books.enter(asked.order, "charge called off")
        return Answer(200, {"state": "called_off"})

    async def _decide(self, asked: Asked) -> None:
        declined = self._mischief.fate(asked.order) is Fate.DECLINED
        with self._books.together():
            if self._books.entries(asked.order, "charge called off"):
                return
            self._books.enter(asked.order, "declined" if declined else "charged", note=asked.amount)
        verdict = {"approved": not declined, "reason": "insufficient funds" if declined else ""}
        await self._callback(asked.order, "payment verdict", asked.reply_to, verdict)
