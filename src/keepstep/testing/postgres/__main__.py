"""``python -m keepstep.testing.postgres``: a server to throw away, on which trouble may come again and again.

The first line on standard output is JSON and says how the server is reached. ``storm`` on standard input lets trouble
come, and each that has passed is a line; ``calm`` ends it, and is answered when the last has passed. At the end of
input everything is stopped and removed. Started by hand it is a server for trying things out, ended by Ctrl-D.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable
from random import Random
from typing import Any

from .binaries import NoPostgres
from .trouble import TROUBLES, Trouble


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    try:
        trouble = TROUBLES[options.trouble]()
    except NoPostgres as error:
        print(error, file=sys.stderr)
        return 2
    with trouble:
        _say(url=trouble.access.url, access=trouble.access.describe())
        storm = Storm(trouble, Random(options.seed), (options.every[0], options.every[1]))
        for line in sys.stdin:
            if line.strip() == "storm":
                storm.begin()
            elif line.strip() == "calm":
                storm.end()
                _say(calm=True, troubles=storm.troubles)
        storm.end()
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m keepstep.testing.postgres", description=__doc__)
    parser.add_argument("--trouble", choices=TROUBLES, default="calm", help="which kind (default: %(default)s)")
    parser.add_argument(
        "--every", type=float, nargs=2, metavar=("A", "B"), default=(5.0, 40.0), help="seconds from one to the next"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of what happens when")
    return parser.parse_args(arguments)


def _say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


class Storm:
    """Brings about trouble on a thread of its own, from ``begin`` to ``end``, again and again."""

    def __init__(
        self,
        trouble: Trouble,
        dice: Random,
        every_seconds: tuple[float, float],
        say: Callable[..., None] = _say,
    ) -> None:
        self._trouble = trouble
        self._dice = dice
        self._every = every_seconds
        self._say = say
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        self.troubles = 0
        self.error: BaseException | None = None

    def begin(self) -> None:
        self._is_over.clear()
        self._thread = threading.Thread(target=self._rage, name="storm")
        self._thread.start()

    def end(self) -> None:
        """Returns when the last trouble has passed. Raises what went wrong in it."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()
        if self.error is not None:
            raise self.error

    def _rage(self) -> None:
        try:
            while not self._is_over.wait(self._dice.uniform(*self._every)):
                began = time.monotonic()
                what = self._trouble.strike(self._dice)
                self.troubles += 1
                self._say(trouble=what, seconds=round(time.monotonic() - began, 3))
        except BaseException as error:
            self.error = error
            self._say(failed=f"no more trouble can be brought about: {error}")


if __name__ == "__main__":
    sys.exit(main())
