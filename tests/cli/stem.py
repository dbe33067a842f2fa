"""Stem: a process that has loaded the ``keepstep`` command, and from which commands are forked.

Loading takes several times as long as what most commands do, and tests give hundreds. A fork is a process of its own
as any other: with its arguments, folder, environment, output and exit code, and what it loads beyond the command it
loads itself. Whoever asks sends one byte with three descriptors: a socket for the question and the answer, and where
the output and the complaints go. The stem ends with the process that it was made for.

Run as a program it is the stem; imported, it is the way to one.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


class Stem:
    """The way to a stem of one's own."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, __file__, str(theirs.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)

    def run(
        self,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        output: int,
        complaints: int,
        seconds_max: float,
    ) -> int:
        """Run a command to its end; its exit code. Raises ``TimeoutError`` when it takes too long, and kills it."""
        mine, theirs = socket.socketpair()
        with mine:
            with theirs:
                socket.send_fds(self._control, [b"?"], [theirs.fileno(), output, complaints])
            question = {"arguments": list(arguments), "folder": str(folder), "environment": dict(environment)}
            mine.sendall(json.dumps(question).encode())
            mine.shutdown(socket.SHUT_WR)
            mine.settimeout(seconds_max)
            with mine.makefile() as answers:
                pid = int(answers.readline())
                try:
                    return int(answers.readline())
                except TimeoutError:
                    os.kill(pid, signal.SIGKILL)
                    raise


def _serve(control: socket.socket) -> socket.socket:
    """Fork for each question. Returns in the child that is to answer one; ends with whoever asks."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who has answered is not waited for
    while True:
        note, descriptors, _, _ = socket.recv_fds(control, 1, 3)
        if not note:
            sys.exit()
        if os.fork() == 0:
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for ours, taken in zip((1, 2), descriptors[1:], strict=True):
                os.dup2(taken, ours)
                os.close(taken)
            return socket.socket(fileno=descriptors[0])
        for descriptor in descriptors:
            os.close(descriptor)


def _become(asked: socket.socket) -> None:
    """Fork once more: the child returns as the command that is asked for, its parent says how it ended."""
    question = json.loads(b"".join(iter(lambda: asked.recv(65536), b"")))
    pid = os.fork()
    if pid:
        asked.sendall(b"%d\n" % pid)
        _, status = os.waitpid(pid, 0)
        asked.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
        os._exit(0)
    asked.close()
    os.chdir(question["folder"])
    os.environ.clear()
    os.environ.update(question["environment"])
    sys.argv = ["keepstep", *question["arguments"]]
    sys.path[0] = question["folder"]


if __name__ == "__main__":
    import keepstep.journal.sqlite  # noqa: F401 - nearly all commands load it
    from keepstep.cli import main

    gc.freeze()  # no command looks at, and so copies, what all have in common
    _become(_serve(socket.socket(fileno=int(sys.argv[1]))))
    main()
