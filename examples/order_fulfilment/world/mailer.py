"""The mailer: what it has sent cannot be taken back."""

from __future__ import annotations

from .books import Books
from .request import Answer, Asked, Department


class Mailer:
    """Sends mail."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def doors(self) -> dict[str, Department]:
        """What can be asked here."""
        return {"/mailer/mails": self.send}

    def send(self, asked: Asked) -> Answer:
        """Sends a confirmation."""
        self._books.enter(asked.order, "mailed", note=f"to customer {asked.to}: parcel {asked.label}")
        return Answer(202, {})
