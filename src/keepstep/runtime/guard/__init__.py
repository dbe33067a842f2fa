"""The guard against nondeterminism: workflow code must take the same way at every replay.

Two halves. ``scan`` reads bytecode when ``@workflow`` decorates and finds what can be known by name: clocks,
randomness, I/O, threads. ``watch`` listens to the interpreter's audit events and stops what the scan cannot see, such
as a library that opens a socket, while a turn of workflow code runs. Both name file, line and the right call, and both
leave alone what stands inside ``with unsafe():``.

Neither is a sandbox. They catch mistakes; what must never happen is that they stop ordinary workflow code.
"""

from .nondeterminism import Finding, Nondeterminism
from .scan import scan, scan_again
from .thing import Wrapper
from .unsafe import unsafe
from .watch import outside_call, take_violation, turn_begins, turn_ends, watch

__all__ = [
    "Finding",
    "Nondeterminism",
    "Wrapper",
    "outside_call",
    "scan",
    "scan_again",
    "take_violation",
    "turn_begins",
    "turn_ends",
    "unsafe",
    "watch",
]
