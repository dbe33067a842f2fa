"""Power: cuts the power under the real SQLite store, and lets its disk fail, call by call.

==============  =======================================================================================================
``driver``      APSW with the face of ``sqlite3``; ``vfs`` is the file system that it calls
``trace``       what SQLite did to its files in order, and when the store promised what
``survival``    the fault model: what a disk holds after a cut, and after a sync that failed
``store``       the real journal on all that, in virtual time; ``workload`` lives on it, ``life`` is a recorded one
``snapshot``    what a database says; ``ledger`` is what its users were told
``inspection``  opens what is left as production would, and finds what is lost or corrupt
``cuts``        power fails at every place of a life, and again in the recovery
``faults``      every call of a life fails, each in every way, once and for a while; ``engine`` does it to an engine
``report``      the counts
==============  =======================================================================================================

``python -m keepstep.testing.power --help``, or ``run`` from a program. Needs the extra ``torture``.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

if find_spec("apsw") is None:
    raise ModuleNotFoundError("keepstep.testing.power needs APSW; pip install 'keepstep[torture]'", name="apsw")

if TYPE_CHECKING:
    from .report import PowerReport


def run(
    *,
    cuts: int = 0,
    seed: int = 1,
    faults: bool = False,
    synchronous: str = "FULL",
    plant: str | None = None,
) -> PowerReport:
    """Make so many cuts and, if asked for, the whole enumeration of faults; what was tried, and what was lost.

    ``synchronous`` and ``plant`` are the command line's. Raises nothing for what it finds.
    """
    from .__main__ import torture

    return torture(cuts=cuts, seed=seed, faults=faults, synchronous=synchronous, plant=plant)


__all__ = ["run"]
