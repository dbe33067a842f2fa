"""Host: another machine on this one: a network namespace of Linux with one cable to us, which can be pulled out.

Only root can make one. A process in it has its own loopback and reaches nothing but ``gateway``, our end of the cable;
what is to be reached listens there. While the cable is out, packets are lost and nobody is told.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from types import TracebackType
from typing import Self

COMMAND_SECONDS_MAX = 30.0

_NUMBERS = itertools.count()


def why_no_hosts() -> str | None:
    """Why none can be made here, or None where they can."""
    if shutil.which("ip") is None:
        return "there is no program `ip`; on Debian: apt-get install iproute2"
    if os.geteuid() != 0:
        return "only root can make network namespaces"
    name = f"keepstep-try-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return f"network namespaces cannot be made here: {made.stderr.strip()}"
    _ip("netns", "del", name)
    return None


class Host:
    """``with Host() as host: Popen(host.command("python", ...)); host.unplug()``."""

    def __init__(self) -> None:
        number = next(_NUMBERS)
        place = (os.getpid() * 7 + number) % 16384
        self.name = f"keepstep-{os.getpid()}-{number}"
        self._cable = f"ks{place}"
        network = f"10.231.{place // 64}.{place % 64 * 4}"
        stem, _, last = network.rpartition(".")
        self.gateway = f"{stem}.{int(last) + 1}"
        """Our address, as the host sees it."""
        self.address = f"{stem}.{int(last) + 2}"

    def __enter__(self) -> Self:
        try:
            _ip("netns", "add", self.name)
            _ip("link", "add", f"{self._cable}a", "type", "veth", "peer", "name", f"{self._cable}b")
            _ip("link", "set", f"{self._cable}b", "netns", self.name)
            _ip("addr", "add", f"{self.gateway}/30", "dev", f"{self._cable}a")
            _ip("link", "set", f"{self._cable}a", "up")
            self._inside("addr", "add", f"{self.address}/30", "dev", f"{self._cable}b")
            self._inside("link", "set", f"{self._cable}b", "up")
            self._inside("link", "set", "lo", "up")
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._remove()

    def command(self, *command: str) -> list[str]:
        """The same command, executed on this host."""
        return ["ip", "netns", "exec", self.name, *command]

    def unplug(self) -> None:
        self._inside("link", "set", f"{self._cable}b", "down")

    def plug(self) -> None:
        self._inside("link", "set", f"{self._cable}b", "up")

    def _inside(self, *arguments: str) -> None:
        _ip("-n", self.name, *arguments)

    def _remove(self) -> None:
        """The namespace goes when its last process has; the cable goes now."""
        for arguments in (("link", "del", f"{self._cable}a"), ("netns", "del", self.name)):
            subprocess.run(["ip", *arguments], capture_output=True, check=False, timeout=COMMAND_SECONDS_MAX)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS_MAX)
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(arguments)} failed: {done.stderr.strip()}")
