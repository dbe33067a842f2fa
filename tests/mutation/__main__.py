"""Mutation testing: small mistakes are made in the journal and the lease code; the port's tests must notice.

    python -m tests.mutation [--mutants N] [--seed S] [--floor PERCENT]

mutmut makes the mistakes, in a copy of the sources under ``mutants/``, and runs for each those tests that reach the
function (``[tool.mutmut]`` in ``pyproject.toml`` names the modules and the tests). There are some thousands; a seed
draws those that are tried. A mistake is *killed* if a test fails or hangs. One that survives shows a test that is
missing, or changes nothing that anybody could see: those are listed with the reason in ``equivalent.py``, and do not
count.

Exit code 0 if as many as the floor asks for were killed; 1 if not, with every survivor printed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from .equivalent import EQUIVALENT

MUTANTS = Path("mutants")
FIRST = "keepstep.journal.identifier.*__mutmut_1"
"""Whatever is tried first lets mutmut make all mutants, and measure which tests reach which function."""

IN_MEMORY = Path("/dev/shm")
"""Where there is one, databases of the tests lie in it: what is synced there costs nothing."""

Change = tuple[str, str, str]
"""A module, the line as it is, and the line as the mutant has it; of a longer change its first lines."""


def run_mutmut(*arguments: str) -> str:
    """Run mutmut on the mutated copy; what it printed."""
    (MUTANTS / "src").mkdir(parents=True, exist_ok=True)
    paths = [str((MUTANTS / "src").resolve()), str(MUTANTS.resolve())]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}  # for processes that tests start
    if IN_MEMORY.is_dir():
        environment.setdefault("PYTEST_DEBUG_TEMPROOT", str(IN_MEMORY))
    command = [str(Path(sys.executable).with_name("mutmut")), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"mutmut {arguments[0]} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def all_mutants() -> list[str]:
    """The names of all mutants that were made."""
    names: set[str] = set()
    for meta in MUTANTS.glob("src/**/*.py.meta"):
        names.update(json.loads(meta.read_text())["exit_code_by_key"])
    return sorted(names)


def statuses() -> dict[str, str]:
    """What became of the mutants that were not killed."""
    lines = (line.strip().rpartition(": ") for line in run_mutmut("results").splitlines())
    return {name: status for name, _, status in lines if name}


def change_of(mutant: str) -> Change:
    """What a mutant changes."""
    lines = run_mutmut("show", mutant).splitlines()
    removed = [line[1:].strip() for line in lines if line.startswith("-") and not line.startswith("---")]
    added = [line[1:].strip() for line in lines if line.startswith("+") and not line.startswith("+++")]
    changed = next((pair for pair in zip(removed, added, strict=False) if pair[0] != pair[1]), ("", ""))
    return (mutant.partition(".x")[0], *changed)


def survivors_of(sample: Sequence[str]) -> dict[str, str]:
    """The mutants of the sample that no test has noticed, with what mutmut calls that."""
    became = statuses()
    return {name: became[name] for name in sample if became.get(name) in ("survived", "no tests", "suspicious")}


def tell(counted: int, survivors: Iterable[tuple[str, str, Change]], excused: int) -> float:
    """Print what survived and the share that was killed, in percent."""
    missed = list(survivors)
    for name, status, (_, before, after) in missed:
        print(f"{status}: {name}\n    - {before}\n    + {after}")
    killed = counted - len(missed)
    percent = 100 * killed / counted if counted else 0.0
    print(f"{killed} of {counted} mutants killed ({percent:.1f} %); {excused} more change nothing that could be seen")
    return percent


def main() -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--mutants", type=int, default=400, help="how many are tried (default 400)")
    parser.add_argument("--seed", type=int, default=1, help="which (default 1)")
    parser.add_argument("--floor", type=float, default=85.0, help="percent that must be killed (default 85)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args()
    run_mutmut("run", "--max-children", "1", FIRST)
    made = all_mutants()
    sample = sorted(random.Random(chosen.seed).sample(made, min(chosen.mutants, len(made))))
    print(f"trying {len(sample)} of {len(made)} mutants (seed {chosen.seed})", flush=True)
    run_mutmut("run", "--max-children", str(chosen.processes), *sample)
    survivors = [(name, status, change_of(name)) for name, status in survivors_of(sample).items()]
    missed = [each for each in survivors if each[2] not in EQUIVALENT]
    excused = len(survivors) - len(missed)
    return 0 if tell(len(sample) - excused, missed, excused) >= chosen.floor else 1


if __name__ == "__main__":
    sys.exit(main())
