"""One real process of a history: an engine with a worker, and some clients. Started, and killed, by ``processes``."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from pathlib import Path

from keepstep import Engine
from keepstep.journal import uuid7
from keepstep.worker.surroundings import Surroundings

from .client import Client, Scenario, draw_scenario, proposing
from .operation import Ran
from .plants import PLANTS, planted
from .processes import recorded_lines
from .recording import Answered, Called, Recorder, appending_to

SUBJECTS = 3
CLIENTS = 3
CALLS_EACH = 12
PAUSE_SECONDS_MAX = 0.05
RESULT_SECONDS_MAX = 0.3
LEASE_SECONDS = 1.0


async def play(folder: Path, name: str, seed: int, *, concludes: bool) -> None:
    """Let the clients make their calls, say that they are done, and serve until standard input is closed."""
    scenario = draw_scenario(
        random.Random(seed),
        subjects=SUBJECTS,
        calls=CALLS_EACH,
        pause_seconds_max=PAUSE_SECONDS_MAX,
        result_seconds_max=RESULT_SECONDS_MAX,
    )
    recorder = Recorder(appending_to(folder / f"{name}.jsonl"), time.monotonic_ns)
    url = f"sqlite:///{folder}/history.db"
    surroundings = Surroundings(make_id=proposing(uuid7))
    async with Engine(
        url, lease_seconds=LEASE_SECONDS, poll_seconds=LEASE_SECONDS / 4, surroundings=surroundings, label=name
    ) as engine:
        clients = [_client(f"{name}.{n}", engine, scenario, recorder, seed, folder) for n in range(1, CLIENTS + 1)]
        if concludes:
            for subject in scenario.subjects:
                await clients[0].conclude(subject)
        else:
            await asyncio.gather(*(each.run() for each in clients))
        print("done", flush=True)
        await asyncio.to_thread(sys.stdin.read)


def _client(name: str, engine: Engine, scenario: Scenario, recorder: Recorder, seed: int, folder: Path) -> Client:
    chance = random.Random(f"{seed}/{name}")
    return Client(name, engine, scenario, recorder, chance, uuid7, _known_runs(folder))


def _known_runs(folder: Path) -> dict[str, list[str]]:
    """The runs that others have started before this process began."""
    subjects: dict[tuple[str, int], str] = {}
    known: dict[str, list[str]] = {}
    for line in recorded_lines(folder):
        if isinstance(line, Called):
            subjects[line.client, line.number] = line.subject
        elif isinstance(line, Answered) and isinstance(line.answer, Ran):
            runs = known.setdefault(subjects[line.client, line.number], [])
            if line.answer.run_id not in runs:
                runs.append(line.answer.run_id)
    return known


def main() -> None:
    """``FOLDER NAME SEED [--conclude] [--plant NAME]``."""
    parser = argparse.ArgumentParser(prog=f"python -m {__spec__.name}", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("name")
    parser.add_argument("seed", type=int)
    parser.add_argument("--conclude", action="store_true")
    parser.add_argument("--plant", choices=PLANTS)
    chosen = parser.parse_args()
    with planted(chosen.plant):
        asyncio.run(play(chosen.folder, chosen.name, chosen.seed, concludes=chosen.conclude))


if __name__ == "__main__":
    main()
