"""Promise: the future of a submitted commit.

It can be awaited like any future. One listener may also be ``heard``: it is called as soon as the outcome is known,
within the store's own turn on the event loop, instead of in a later iteration. A worker that follows thousands of
commits a second saves a scheduled callback for each of them that way.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from .commit import Commit, Committed

logger = logging.getLogger("keepstep.journal")


class Promise(asyncio.Future[Committed]):
    """See the module's docstring."""

    heard: Callable[[Promise], None] | None = None
    """Set right after submitting; must not raise."""

    alone: Callable[[Commit], Promise] | None = None
    """What hands it in, where that is not ``Journal.submit``; likewise."""

    commit: Commit
    """What was submitted; set by a submitter that wants to find it here when it is heard."""

    def settle(self, outcome: Committed | None, error: BaseException | None) -> None:
        """The outcome is known."""
        if self.done():
            return
        if error is not None:
            self.set_exception(error)
        elif outcome is not None:
            self.set_result(outcome)
        heard, self.heard = self.heard, None  # else it would keep its listener alive, and that often keeps it
        if heard is not None:
            try:
                heard(self)
            except Exception:
                logger.exception("a listener of a commit failed")
