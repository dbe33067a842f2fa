"""Kit: what a user's tests of workflows stand on. ``docs/testing.md`` shows how; pytest finds it by itself.

``stage`` plays a test in virtual time, with a worker that can be made to crash; ``blocking`` does so for sync tests;
``mocking`` puts something else in the place of steps; ``inside`` lets a test call a step's function; ``chaos``
repeats a test with a crash at each commit; and ``replaying`` holds recorded histories against today's code.
"""

from .inside import inside_step
from .mocking import MockedCall, StepMock, StepNotMocked, forbid_steps, mock_step
from .replaying import HistoryMisfit, record, replay
from .stage import Crash, Stage, VirtualTime

__all__ = [
    "Crash",
    "HistoryMisfit",
    "MockedCall",
    "Stage",
    "StepMock",
    "StepNotMocked",
    "VirtualTime",
    "forbid_steps",
    "inside_step",
    "mock_step",
    "record",
    "replay",
]
