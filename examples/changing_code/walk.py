"""A walk through the deploys: ``python -m changing_code.walk``, in the folder of the examples. It takes some seconds.

Everything is done by the ``keepstep`` command, as a person would do it, on a database in a temporary folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WAIT_SECONDS_MAX = 30.0
EXAMPLES = Path(__file__).resolve().parents[1]


class Walk:
    """A shop whose code changes while its orders are under way."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        paths = [str(EXAMPLES), os.environ.get("PYTHONPATH", "")]
        self._environment = {
            **os.environ,
            "KEEPSTEP_DB": f"sqlite:///{folder / 'shop.db'}",
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        }

    def keepstep(self, *arguments: str, code: int = 0) -> str:
        """Run the command and say so; it must end with that exit code."""
        print(f"$ keepstep {' '.join(arguments)}", flush=True)
        ran = subprocess.run(
            [sys.executable, "-m", "keepstep", *arguments],
            cwd=self._folder, env=self._environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        print("".join(f"    {line}\n" for line in (ran.stdout + ran.stderr).splitlines()), end="", flush=True)
        if ran.returncode != code:
            raise SystemExit(f"that should have ended with exit code {code}, not {ran.returncode}")
        return ran.stdout

    @contextmanager
    def deployed(self, version: str) -> Iterator[None]:
        """A worker with that version of the code."""
        print(f"\n# {version} is deployed", flush=True)
        worker = subprocess.Popen(
            [sys.executable, "-u", "-m", "keepstep", "worker", f"changing_code.{version}", "--log-level", "error"],
            cwd=self._folder, env=self._environment, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert worker.stdout is not None
            worker.stdout.readline()  # it is ready
            yield
        finally:
            worker.terminate()
            worker.communicate()

    def until(self, id: str, **wanted: str) -> Any:
        """Wait until the run looks like that."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while True:
            shown = subprocess.run(
                [sys.executable, "-m", "keepstep", "show", id, "--json"],
                cwd=self._folder, env=self._environment, capture_output=True, text=True, check=True,
            )  # fmt: skip
            info = json.loads(shown.stdout)
            if all(info[name] == value for name, value in wanted.items()):
                return info
            if time.monotonic() > deadline:
                raise SystemExit(f"run {id} did not come to {wanted}: {info}")

    def take(self) -> None:
        with self.deployed("first"):
            self.keepstep("start", "sell", "--input", '"old"', "--input", "3", "--id", "old")
            self.until("old", condition="waiting")

        print("\n# before the next deploy: would the new code go on with what is under way?")
        self.keepstep("check", "changing_code.careless", code=1)
        self.keepstep("check", "changing_code.patched")

        with self.deployed("patched"):
            self.keepstep("start", "sell", "--input", '"new"', "--input", "5", "--id", "new")
            self.until("new", condition="waiting")
            print("\n# can the old way be removed? not while a run is under way that took it")
            self.keepstep("check", "changing_code.cleaned", code=1)
            self.keepstep("signal", "old", "paid")
            self.until("old", status="completed")
            self.keepstep("check", "changing_code.cleaned")

        with self.deployed("cleaned"):
            self.keepstep("signal", "new", "paid")
            self.until("new", status="completed")
            print("\n# a fork: the same order, with another result of a step that was done")
            replaced = 'reserve_goods="6 pieces for new"'
            self.keepstep("fork", "new", "--replace", replaced, "--id", "corrected")
            self.keepstep("signal", "corrected", "paid")
            self.until("corrected", status="completed")
        for id in ("old", "new", "corrected"):
            self.keepstep("show", id)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        Walk(Path(folder)).take()
