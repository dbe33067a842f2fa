"""``keepstep worker MODULE``: run the workflows and steps of a module."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from keepstep.client.engine import Engine
from keepstep.codecs.environment import codec_from_environment
from keepstep.journal import InvalidInput
from keepstep.journal.namespace import DEFAULT
from keepstep.runtime.registry import steps, workflows
from keepstep.runtime.workflow import Workflow
from keepstep.worker.observer import Observer

from .database import database_option, namespace, run
from .lifetime import GRACE_SECONDS, Lifetime
from .listening import base_url, callback_option, listen, parse_address, signatures_for
from .logs import log_options
from .module import import_interceptors, import_module, interceptor_option


@click.command("worker")
@click.argument("module")
@click.option("--queue", "queues", multiple=True, default=("default",), show_default=True, help="A queue to serve.")
@click.option("--http", metavar="[HOST:]PORT", help="Receive callbacks by HTTP at this address.")
@click.option("--callback-url", metavar="URL", help="Base of the URLs handed out; by default the --http address.")
@callback_option
@click.option("--metrics", is_flag=True, help="Serve Prometheus metrics at /metrics of the --http address.")
@click.option("--lease-seconds", type=click.FloatRange(min=0.5), default=10.0, show_default=True)
@click.option("--grace-seconds", type=click.FloatRange(min=0), default=GRACE_SECONDS, show_default=True)
@click.option("--until-eof", is_flag=True, hidden=True, help="Stop, too, when standard input ends.")
@log_options
@interceptor_option
@database_option
def worker_command(
    module: str,
    queues: tuple[str, ...],
    http: str | None,
    callback_url: str | None,
    callback_secrets: str | None,
    metrics: bool,
    lease_seconds: float,
    grace_seconds: float,
    until_eof: bool,
    interceptors: tuple[str, ...],
    url: str,
) -> int:
    """Run the workflows and steps of MODULE: a dotted name, or a .py file. The current folder is on the path.

    Without --callback-url, callbacks get URLs with the address of --http.

    SIGTERM and Ctrl-C stop it gracefully; a second one stops it at once.
    """
    import_module(module)
    if not workflows() and not steps():
        raise InvalidInput(f"module {module!r} defines no @workflow and no @step, so there is nothing to run")
    address = parse_address(http) if http else None
    if address is not None and not callback_url:
        callback_url = base_url(*address)
    if callback_secrets is not None and address is None:
        raise InvalidInput("--callback-secrets are for callbacks that come by HTTP; say where: --http [HOST:]PORT")
    options: dict[str, Any] = {
        "queues": queues, "callback_url": callback_url, "lease_seconds": lease_seconds, "label": module,
        "namespace": namespace(), "interceptors": import_interceptors(interceptors),
    }  # fmt: skip
    if metrics:
        options["observers"] = [_metrics(address)]
    return run(_work(url, address, callback_secrets, grace_seconds, options, until_eof=until_eof))


def _metrics(address: tuple[str, int] | None) -> Observer:
    if address is None:
        raise InvalidInput("--metrics are served at /metrics of an address; say which: --http [HOST:]PORT")
    try:
        from keepstep.telemetry.metrics import PrometheusMetrics
    except ImportError as error:
        raise InvalidInput(f"--metrics needs more packages ({error.name}): pip install 'keepstep[metrics]'") from error
    return PrometheusMetrics()


async def _work(
    url: str,
    address: tuple[str, int] | None,
    secrets: str | None,
    grace_seconds: float,
    options: dict[str, Any],
    *,
    until_eof: bool,
) -> int:
    lifetime = Lifetime(sys.stdin.fileno() if until_eof else None)
    engine = Engine(url, workers=True, codec=codec_from_environment(), **options)
    await engine.__aenter__()
    engine.journal.listen(lifetime.hear)
    listener = None
    try:
        if address is not None:
            listener = await listen(_callbacks(engine, secrets), *address, grace_seconds)
        served = ", ".join(map(_shown, workflows())) or "steps only"
        queues = ", ".join(options["queues"])
        where = "" if engine.namespace == DEFAULT else f"namespace {engine.namespace}, "
        lease = f"lease {options['lease_seconds']:g} s"
        heard = f", callbacks at {options['callback_url']}" if address else ""
        click.echo(f"keepstep worker {os.getpid()}: {served}; {where}queues {queues}; {lease}; {url}{heard}")
        await lifetime.wait()
        if not until_eof:
            click.echo("keepstep worker: stopping; a second signal stops at once")
    finally:
        if listener is not None:
            await listener.stop()
        await engine.close(grace_seconds)
    return 0


def _shown(workflow: Workflow[Any, Any]) -> str:
    if not workflow.version:
        return workflow.name
    return f"{workflow.name} {workflow.version}" + (" (pinned)" if workflow.is_pinned else "")


def _callbacks(engine: Engine, secrets: str | None) -> Any:
    try:
        from keepstep.server.callbacks import callback_app
    except ImportError as error:
        raise InvalidInput(f"--http needs more packages ({error.name}): pip install 'keepstep[server]'") from error
    return callback_app(engine, signatures=signatures_for(engine, secrets))
