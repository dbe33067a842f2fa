"""The dynamic half of the guard: listen to the interpreter's audit events while workflow code runs.

The scan knows names; this sees deeds. An audit hook is process-wide and can never be removed, so it is installed at the
first turn and costs next to nothing outside of turns: one look at an empty set. During a turn it compares the event's
name with those watched, and only then looks at the thread and walks the stack.

The walk goes from the event outwards to the engine's own frame that runs the workflow. It decides two things:

* Is anybody on the way who only looks on or was not called by the workflow's own will? Imports inside functions,
  tracebacks being formatted, log handlers, time zone data, debuggers, coverage, finalisers. Then nothing happened. The
  same holds for the engine's own code, and for reading files of installed packages, which are part of the code.
* Whose line is it? The innermost frame that belongs neither to the standard library nor to an installed package.

What is stopped is also remembered, because user code may swallow it with ``except Exception``: the runtime asks with
``take_violation`` after each turn. Not seen: what makes no audit event, which is the scan's part (clocks, random
numbers; starting a thread before Python 3.12, ``time.sleep`` before 3.13). A signal handler of the user's that
interrupts a turn is taken for workflow code.
"""

from __future__ import annotations

import os
import sys
from threading import get_ident
from types import FrameType

from .catalogue import PERSON, SLEEP, THREAD, WORLD, instead_of
from .nondeterminism import Finding, Nondeterminism
from .origin import is_library, is_ours, is_shipped, is_standard
from .unsafe import is_unsafe

_WORLD_EVENTS = """
    open mmap.__new__ sqlite3.connect subprocess.Popen webbrowser.open pty.spawn urllib.Request http.client.connect
    ftplib.connect ftplib.sendcmd smtplib.connect smtplib.send imaplib.open imaplib.send poplib.connect poplib.putline
    nntplib.connect telnetlib.Telnet.open telnetlib.Telnet.write glob.glob pathlib.Path.glob pathlib.Path.rglob
    tempfile.mkstemp tempfile.mkdtemp fcntl.fcntl fcntl.flock fcntl.ioctl fcntl.lockf syslog.openlog syslog.syslog
    os.chdir os.chflags os.chmod os.chown os.exec os.fork os.forkpty os.fwalk os.getxattr os.kill os.killpg os.link
    os.listdir os.listxattr os.lockf os.mkdir os.posix_spawn os.putenv os.remove os.removexattr os.rename os.rmdir
    os.scandir os.setxattr os.spawn os.startfile os.symlink os.system os.truncate os.unsetenv os.utime os.walk
    shutil.chown shutil.copyfile shutil.copymode shutil.copystat shutil.copytree shutil.make_archive shutil.move
    shutil.rmtree shutil.unpack_archive signal.pthread_kill socket.__new__ socket.bind socket.connect
    socket.getaddrinfo socket.gethostbyaddr socket.gethostbyname socket.gethostname socket.getnameinfo
    socket.getservbyname socket.getservbyport socket.sendmsg socket.sendto socket.sethostname
"""
_INSTEAD = {
    **dict.fromkeys(_WORLD_EVENTS.split(), WORLD),
    "time.sleep": SLEEP,
    "builtins.input": PERSON,
    "_thread.start_new_thread": THREAD,
    "_thread.start_joinable_thread": THREAD,
}
_WATCHED = frozenset(_INSTEAD)

_ONLOOKERS = frozenset(
    """
    importlib _frozen_importlib _frozen_importlib_external zipimport linecache traceback inspect warnings weakref
    zoneinfo gettext logging loguru structlog sentry_sdk opentelemetry ddtrace newrelic logfire bdb pdb coverage
    debugpy pydevd _pydevd_bundle _pydevd_frame_eval _pydev_bundle
    """.split()
)
_READS = frozenset({"open", "os.listdir", "os.scandir"})
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_FRAMES_MAX = 1000

_turns: set[int] = set()  # the threads on which workflow code is running
_violations: dict[int, Nondeterminism] = {}
_watching = False


def watch() -> None:
    """Install the audit hook, once in the life of the process."""
    global _watching
    if not _watching:
        _watching = True
        sys.addaudithook(_hear)


def turn_begins() -> None:
    """From now on this thread runs workflow code."""
    if not _watching:
        watch()
    _turns.add(get_ident())


def turn_ends() -> None:
    """This thread no longer runs workflow code."""
    _turns.discard(get_ident())


def take_violation() -> Nondeterminism | None:
    """The first thing that was stopped on this thread since the last call, also if user code swallowed the error."""
    return _violations.pop(get_ident(), None) if _violations else None


def outside_call(used: str) -> Nondeterminism:
    """The error for a call that the workflow's loop refuses (``loop.run_in_executor``), at the user's line.

    It is remembered like an event that was stopped.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_ours(_module(frame)):
        frame = frame.f_back
    place = _place(frame)
    instead = instead_of(used.replace("loop.", "asyncio.AbstractEventLoop.", 1)) or WORLD
    return _remember(place if place is not None else frame, used, instead)


def _hear(
    event: str,
    args: tuple[object, ...],
    _turns: set[int] = _turns,
    _watched: frozenset[str] = _WATCHED,
) -> None:
    if _turns and event in _watched and get_ident() in _turns:
        _judge(event, args)


_hear.__cantrace__ = True  # type: ignore[attr-defined]  # debuggers and coverage may see into it


def _judge(event: str, args: tuple[object, ...]) -> None:
    if is_unsafe() or _reads_shipped_data(event, args):
        return
    place = _place(sys._getframe(2))
    if place is not None:
        raise _remember(place, _describe(event, args), _INSTEAD[event])


def _place(frame: FrameType | None) -> FrameType | None:
    """The frame to blame; None where the event is nobody's fault."""
    innermost_of_user: FrameType | None = None
    outermost_other: FrameType | None = None
    for _ in range(_FRAMES_MAX):
        if frame is None:
            break
        module = _module(frame)
        if module.partition(".")[0] in _ONLOOKERS or frame.f_code.co_name == "__del__":
            return None
        if is_ours(module):
            break
        file = frame.f_code.co_filename
        if innermost_of_user is None and not is_standard(file):
            # Code without a file may be generated (a dataclass) or typed in: it is blamed where nothing else is.
            if is_library(file) or file.startswith("<"):
                outermost_other = frame
            else:
                innermost_of_user = frame
        frame = frame.f_back
    return innermost_of_user or outermost_other


def _module(frame: FrameType) -> str:
    name = frame.f_globals.get("__name__")
    return name if isinstance(name, str) else ""


def _reads_shipped_data(event: str, args: tuple[object, ...]) -> bool:
    """Files of installed packages and time zones are read, not written: they change by deploys, as code does."""
    if event not in _READS or not args or not isinstance(args[0], str):
        return False
    flags = args[2] if len(args) > 2 else 0
    return isinstance(flags, int) and not flags & _WRITES and is_shipped(args[0])


def _describe(event: str, args: tuple[object, ...]) -> str:
    name = event.removeprefix("builtins.")
    first = args[0] if args else None
    return f"{name}({first!r})" if isinstance(first, (str, bytes, int, float)) else name


def _remember(frame: FrameType | None, used: str, instead: str) -> Nondeterminism:
    file, line = (frame.f_code.co_filename, frame.f_lineno) if frame is not None else ("<unknown>", 0)
    error = Nondeterminism(Finding(file, line, used, instead))
    _violations.setdefault(get_ident(), error)
    return error
