"""``keepstep server``: the REST API and the web UI over a database, with a worker in the same process if wished."""

from __future__ import annotations

import os
from typing import Any

import click

from keepstep.journal import InvalidInput
from keepstep.runtime.registry import steps, workflows

from .database import database_option, namespace, run
from .door import Door, door_options
from .lifetime import GRACE_SECONDS
from .listening import base_url, parse_address
from .logs import log_options
from .module import import_interceptors, import_module, interceptor_option
from .serving import serving


@click.command("server")
@click.option("--http", metavar="[HOST:]PORT", default="8710", show_default=True, help="Where to listen.")
@click.option("--app", metavar="MODULE", help="Run the workflows and steps of this module, too, as a worker does.")
@click.option("--queue", "queues", multiple=True, default=("default",), show_default=True, help="With --app.")
@click.option("--callback-url", metavar="URL", help="Base of the URLs handed out; by default the --http address.")
@click.option("--grace-seconds", type=click.FloatRange(min=0), default=GRACE_SECONDS, show_default=True)
@door_options
@interceptor_option
@log_options
@database_option
def server_command(
    http: str,
    app: str | None,
    queues: tuple[str, ...],
    callback_url: str | None,
    grace_seconds: float,
    door: Door,
    interceptors: tuple[str, ...],
    url: str,
) -> int:
    """Serve the REST API under /api/v1, the web UI, and callbacks.

    On the loopback address, which is the default, nobody is asked who they are. On any other one callers show a key,
    which `keepstep keys create` makes, or log in at an identity provider, which --oidc-issuer names; while there is
    neither, such an address is refused.

    SIGTERM and Ctrl-C stop it gracefully; a second one stops it at once.
    """
    host, port = parse_address(http)
    door = door.at(host, port)
    if app is not None:
        import_module(app)
        if not workflows() and not steps():
            raise InvalidInput(f"module {app!r} defines no @workflow and no @step, so there is nothing to run")
    options = {
        "workers": app is not None,
        "queues": queues,
        "callback_url": callback_url or base_url(host, port, door.scheme),
        "namespace": namespace(),
        "label": app or "",
        "interceptors": import_interceptors(interceptors),
    }
    return run(_serve(url, (host, port), door, grace_seconds, options))


async def _serve(url: str, address: tuple[str, int], door: Door, grace_seconds: float, options: dict[str, Any]) -> int:
    async with serving(url, address, door, grace_seconds, options) as lifetime:
        click.echo(f"keepstep server {os.getpid()}: {base_url(*address, door.scheme)}; {door.says}; {url}")
        await lifetime.wait()
        click.echo("keepstep server: stopping; a second signal stops at once")
    return 0
