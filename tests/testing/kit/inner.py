"""Runs pytest on a file of its own, in a process of its own, with the plugin and no other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).resolve().parents[3]
PATHS = os.pathsep.join((str(ROOT / "src"), str(ROOT)))

HEAD = """
import asyncio
import pytest
from keepstep import StepFailed, sleep, step, workflow
from tests.testing.kit.programs import EFFECTS, kit_charge, kit_mail, kit_order
"""


def run_pytest(folder: Path, source: str, *arguments: str) -> tuple[int, str]:
    """The exit code, and all that was printed."""
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers -W error\n")
    (folder / "test_inner.py").write_text(HEAD + dedent(source))
    command = [sys.executable, "-m", "pytest", "-p", "pytest_keepstep", "-p", "no:cacheprovider", *arguments]
    ran = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": PATHS},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    return ran.returncode, ran.stdout
