"""``keepstep demo``: the order fulfilment, with crashes, and its audit."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import click

from keepstep.journal import InvalidInput

from .doctor import EXTRAS

PACKAGE = "order_fulfilment"


@click.command("demo")
@click.option("--orders", type=click.IntRange(min=1), help="How many; by default all of the file (300 without one).")
@click.option(
    "--kills", type=click.IntRange(min=0), help="Workers killed by SIGKILL; by default 10, fewer if few orders."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Decides all trouble, and the kills.")
@click.option(
    "--db",
    envvar="KEEPSTEP_DB",
    metavar="URL",
    help="Where runs are kept (also: KEEPSTEP_DB); by default a new file in a temporary folder.",
)
@click.option("--orders-file", type=click.Path(path_type=Path), help="The whole CDNOW data set, or a CSV like it.")
@click.option("--sabotage", is_flag=True, help="Switch the recording of one step off; the audit must find it.")
def demo_command(
    orders: int | None, kills: int | None, seed: int, db: str | None, orders_file: Path | None, sabotage: bool
) -> int:
    """Charge, reserve, label, pick, notify and undo real orders, while workers are killed again and again."""
    run_demo = _find_demo()
    code: int = run_demo(orders=orders, kills=kills, seed=seed, db=db, sabotage=sabotage, orders_file=orders_file)
    return code


def _find_demo() -> Any:
    for needed in EXTRAS["server"]:
        try:
            importlib.import_module(needed)
        except ImportError as error:
            raise InvalidInput(f"the demo needs {needed}: pip install 'keepstep[server]'") from error
    folder = examples_folder()
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return importlib.import_module(f"{PACKAGE}.demo").run_demo


def examples_folder() -> Path:
    """The folder of the examples: inside the installed package, or beside the sources of a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "examples", package.parents[1] / "examples"):
        if (folder / PACKAGE).is_dir():
            return folder
    raise InvalidInput("the examples were not installed with this copy of Keepstep")
