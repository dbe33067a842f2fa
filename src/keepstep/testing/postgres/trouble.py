"""Trouble: what befalls servers. Each kind is a class that starts what it needs and brings about one trouble at a time.

* ``restart``: one server that is stopped in each way, or killed, and started again after a while.
* ``terminate``: one server whose sessions are all cut off.
* ``network``: one server behind a network that is cut, or silent, for a while.
* ``failover``: a cluster whose primary is killed and whose standby is promoted; now and then the old primary lives on
  alone for a while, and is asked in vain. The old primary is rebuilt in either way. ``failover-loose`` is the same with
  a standby that is not synchronous, which loses what was acknowledged: to see whether anybody notices.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from random import Random
from types import TracebackType
from typing import Self

from .access import Access
from .cluster import PostgresCluster
from .proxy import Proxy
from .server import PostgresServer, StopMode

DOWN_SECONDS_MAX = 3.0

SPLIT_SHARE = 0.25
SPLIT_SECONDS_MAX = 2.0

COPY_SHARE = 0.3

PARTED_SECONDS = 1.0

SETTINGS = {"max_connections": "200"}
"""Those who are killed leave sessions behind, which the server notices some time later."""


class Trouble(ABC):
    """``with RestartTrouble() as trouble: trouble.access, trouble.strike(dice)``. All calls block."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    @property
    @abstractmethod
    def access(self) -> Access:
        """To the server, for clients."""

    @abstractmethod
    def strike(self, dice: Random) -> str:
        """Bring about one trouble, and let it pass; what it was, in a word or two."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    @abstractmethod
    def _start(self, stack: ExitStack) -> None: ...


class _OneServer(Trouble):
    """Trouble of a single server."""

    def __init__(self) -> None:
        super().__init__()
        self.server = PostgresServer(settings=SETTINGS)

    @property
    def access(self) -> Access:
        return self.server

    def _start(self, stack: ExitStack) -> None:
        stack.enter_context(self.server)


class Calm(_OneServer):
    """No trouble at all."""

    def strike(self, dice: Random) -> str:
        return "nothing"


class RestartTrouble(_OneServer):
    """See the module."""

    def strike(self, dice: Random) -> str:
        modes: tuple[StopMode | None, ...] = ("fast", "immediate", None)
        mode = dice.choice(modes)
        if mode is None:
            self.server.kill()
        else:
            self.server.stop(mode)
        time.sleep(dice.uniform(0, DOWN_SECONDS_MAX) * dice.random())
        self.server.start()
        return f"restart after {mode or 'kill'}"


class TerminateTrouble(_OneServer):
    """See the module."""

    def strike(self, dice: Random) -> str:
        self.server.terminate_backends()
        return "terminate"


class NetworkTrouble(_OneServer):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.proxy = Proxy(self.server.port)

    @property
    def access(self) -> Access:
        server = self.server
        return Access(server.binaries, server.account, [self.proxy.port], server.password)

    def _start(self, stack: ExitStack) -> None:
        super()._start(stack)
        stack.enter_context(self.proxy)

    def strike(self, dice: Random) -> str:
        kind = dice.choice(("cut", "silence", "slow"))
        seconds = dice.uniform(0, DOWN_SECONDS_MAX)
        if kind == "cut":
            self.proxy.cut()
        elif kind == "silence":
            self.proxy.silence()
        else:
            self.proxy.slow(dice.uniform(0.01, 0.2))
        time.sleep(seconds)
        self.proxy.heal()
        return f"network {kind}"


class FailoverTrouble(Trouble):
    """See the module."""

    def __init__(self, *, is_synchronous: bool = True) -> None:
        super().__init__()
        self.cluster = PostgresCluster(settings=SETTINGS, is_synchronous=is_synchronous)

    @property
    def access(self) -> Access:
        return self.cluster.access

    def _start(self, stack: ExitStack) -> None:
        stack.enter_context(self.cluster)

    def strike(self, dice: Random) -> str:
        is_split = dice.random() < SPLIT_SHARE
        if is_split:
            self.cluster.promote()
            time.sleep(dice.uniform(0, SPLIT_SECONDS_MAX))
            self.cluster.standby.kill()
        else:
            self.cluster.fail_over()
        self.cluster.rebuild("copy" if dice.random() < COPY_SHARE else "rewind")
        return "failover beside a living primary" if is_split else "failover"


class LooseFailoverTrouble(FailoverTrouble):
    """See the module."""

    def __init__(self) -> None:
        super().__init__(is_synchronous=False)

    def strike(self, dice: Random) -> str:
        self.cluster.part()
        time.sleep(PARTED_SECONDS)
        self.cluster.fail_over()
        self.cluster.rebuild()
        return "failover that loses"


TROUBLES: dict[str, Callable[[], Trouble]] = {
    "calm": Calm,
    "restart": RestartTrouble,
    "terminate": TerminateTrouble,
    "network": NetworkTrouble,
    "failover": FailoverTrouble,
    "failover-loose": LooseFailoverTrouble,
}
