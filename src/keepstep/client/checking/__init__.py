"""Checking: would this code still replay what is recorded? Asked before a deploy, of runs that others are advancing.

``verdict`` judges one run, ``judge`` what one process does with a batch of them, ``survey`` all of a store, in several
processes. Nothing is owned, nothing is written, no step is run: replay alone tells, as it would a worker.
"""

from .judge import Judge
from .survey import Survey, survey
from .verdict import Trouble, Verdict

__all__ = ["Judge", "Survey", "Trouble", "Verdict", "survey"]
