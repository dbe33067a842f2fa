"""Importing the module that a worker is to run, and telling in one line why it cannot be imported."""

from __future__ import annotations

import importlib
import os
import sys
import sysconfig
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from keepstep.journal import InvalidInput
from keepstep.runtime.interceptor import Interceptor

interceptor_option = click.option(
    "--interceptor",
    "interceptors",
    multiple=True,
    metavar="MODULE:NAME",
    help="An interceptor, as Engine(interceptors=[...]) has them; the first is outermost.",
)

_OTHERS = tuple(
    f"{Path(folder).resolve()}{os.sep}"
    for folder in (*map(sysconfig.get_path, ("stdlib", "purelib", "platlib")), str(Path(__file__).parents[1]))
)
"""Folders of code that is not the user's own."""


def import_module(name: str) -> ModuleType:
    """Import a module by dotted name or ``.py`` file; the current folder is on the path.

    Raises ``InvalidInput`` with the innermost place in the user's own code at which its import fails.
    """
    sys.path.insert(0, os.getcwd())
    if not name.endswith(".py"):
        return _import(name, name)
    file = Path(name).resolve()
    if not file.is_file():
        raise InvalidInput(f"there is no file {name}")
    sys.path.insert(0, str(file.parent))
    module = _import(name, file.stem)
    if module.__file__ is None or Path(module.__file__).resolve() != file:
        raise InvalidInput(f"another module is named {file.stem!r} already; rename the file {name}")
    return module


def import_interceptors(names: Sequence[str]) -> list[Interceptor]:
    """What ``--interceptor MODULE:NAME`` names: an interceptor, its class, or several in a list.

    Raises ``InvalidInput`` for what is none, and what ``import_module`` raises.
    """
    return [each for name in names for each in _interceptors_at(name)]


def _interceptors_at(name: str) -> list[Interceptor]:
    module, _, attribute = name.rpartition(":")
    if not module or not attribute:
        raise InvalidInput(f"--interceptor takes MODULE:NAME, such as shop.tenants:Tenants, not {name!r}")
    found = getattr(import_module(module), attribute, None)
    if isinstance(found, type) and issubclass(found, Interceptor):
        found = found()
    several: list[Any] = list(found) if isinstance(found, list | tuple) else [found]
    if not all(isinstance(each, Interceptor) for each in several):
        raise InvalidInput(f"{name!r} is no keepstep.Interceptor, nor its class, nor a list of some")
    return several


def _import(given: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise InvalidInput(f"there is no module {given!r} in {os.getcwd()} or among the installed ones") from error
        raise InvalidInput(_failure(given, error)) from error
    except (Exception, SystemExit) as error:
        raise InvalidInput(_failure(given, error)) from error


def _failure(name: str, error: BaseException) -> str:
    said = error.msg if isinstance(error, SyntaxError) else error
    return f"module {name!r} cannot be imported: {type(error).__name__}: {said}{_place(error)}"


def _place(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f" at {error.filename}:{error.lineno}"
    frames = [each for each in traceback.extract_tb(error.__traceback__) if not each.filename.startswith("<")]
    own = [each for each in frames if not str(Path(each.filename).resolve()).startswith(_OTHERS)]
    return f" at {own[-1].filename}:{own[-1].lineno}" if own else ""
