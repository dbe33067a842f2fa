"""Misfit: why a run cannot go on with the code that is there, as the diff that a person reads."""

from __future__ import annotations

from keepstep.journal import InvalidInput
from keepstep.runtime.blocked import Contradiction, Diff
from keepstep.runtime.errors import Restless
from keepstep.runtime.guard import Nondeterminism


def diff_of(error: BaseException) -> Diff:
    """What an error means that was raised while a run's code was advancing."""
    if isinstance(error, Contradiction):
        return error.diff
    if isinstance(error, Nondeterminism | Restless | InvalidInput):
        return Diff(str(error))
    if isinstance(error, SystemExit):
        return Diff("the workflow's code asked the process to exit; raise an error instead")
    return Diff(f"Keepstep met an unexpected error while advancing the run: {error!r}")


def is_foreseen(error: BaseException) -> bool:
    """True if the diff says all that there is to say; otherwise the traceback belongs into the log."""
    return isinstance(error, Contradiction | Nondeterminism | Restless | InvalidInput | SystemExit)
