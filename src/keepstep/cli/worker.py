"""``keepstep worker MODULE``: run the workflows and steps of a module."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from typing import Any

import click

from keepstep.client.engine import Engine
from keepstep.codecs.environment import codec_from_environment
from keepstep.journal import Hint, InvalidInput, StoreUnavailable
from keepstep.journal.namespace import DEFAULT
from keepstep.runtime.registry import steps, workflows
from keepstep.runtime.workflow import Workflow
from keepstep.telemetry.json_lines import JsonFormatter
from keepstep.worker.observer import Observer

from .database import database_option, namespace, run
from .module import import_module

GRACE_SECONDS = 10.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

EVERY_ADDRESS = ("0.0.0.0", "::")


@click.command("worker")
@click.argument("module")
@click.option("--queue", "queues", multiple=True, default=("default",), show_default=True, help="A queue to serve.")
@click.option("--http", metavar="[HOST:]PORT", help="Receive callbacks by HTTP at this address.")
@click.option("--callback-url", metavar="URL", help="Base of the URLs handed out; by default the --http address.")
@click.option("--metrics", is_flag=True, help="Serve Prometheus metrics at /metrics of the --http address.")
@click.option("--lease-seconds", type=click.FloatRange(min=0.5), default=10.0, show_default=True)
@click.option("--grace-seconds", type=click.FloatRange(min=0), default=GRACE_SECONDS, show_default=True)
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@database_option
def worker_command(
    module: str,
    queues: tuple[str, ...],
    http: str | None,
    callback_url: str | None,
    metrics: bool,
    lease_seconds: float,
    grace_seconds: float,
    log_level: str,
    log_format: str,
    url: str,
) -> int:
    """Run the workflows and steps of MODULE: a dotted name, or a .py file. The current folder is on the path.

    Without --callback-url, callbacks get URLs with the address of --http.

    SIGTERM and Ctrl-C stop it gracefully; a second one stops it at once.
    """
    _write_logs(log_level, log_format)
    import_module(module)
    if not workflows() and not steps():
        raise InvalidInput(f"module {module!r} defines no @workflow and no @step, so there is nothing to run")
    address = parse_address(http) if http else None
    if address is not None and not callback_url:
        callback_url = base_url(*address)
    options: dict[str, Any] = {
        "queues": queues, "callback_url": callback_url, "lease_seconds": lease_seconds, "label": module,
        "namespace": namespace(),
    }  # fmt: skip
    if metrics:
        options["observers"] = [_metrics(address)]
    return run(_work(url, address, grace_seconds, options))


def _metrics(address: tuple[str, int] | None) -> Observer:
    if address is None:
        raise InvalidInput("--metrics are served at /metrics of an address; say which: --http [HOST:]PORT")
    try:
        from keepstep.telemetry.metrics import PrometheusMetrics
    except ImportError as error:
        raise InvalidInput(f"--metrics needs more packages ({error.name}): pip install 'keepstep[metrics]'") from error
    return PrometheusMetrics()


def _write_logs(level: str, format: str) -> None:
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    if format == "json":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonFormatter())


async def _work(url: str, address: tuple[str, int] | None, grace_seconds: float, options: dict[str, Any]) -> int:
    stop = _stop_signal()
    engine = Engine(url, codec=codec_from_environment(), **options)
    await engine.__aenter__()
    lost: list[StoreUnavailable] = []

    def hear(hint: Hint) -> None:
        if hint.reason is not None:
            lost.append(hint.reason)
            stop.set()

    engine.journal.listen(hear)
    listener = None
    try:
        if address is not None:
            listener = await _listen(engine, *address, grace_seconds)
        served = ", ".join(map(_shown, workflows())) or "steps only"
        queues = ", ".join(options["queues"])
        where = "" if engine.namespace == DEFAULT else f"namespace {engine.namespace}, "
        lease = f"lease {options['lease_seconds']:g} s"
        heard = f", callbacks at {options['callback_url']}" if address else ""
        click.echo(f"keepstep worker {os.getpid()}: {served}; {where}queues {queues}; {lease}; {url}{heard}")
        await stop.wait()
        if lost:
            raise lost[0]
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


async def _listen(engine: Engine, host: str, port: int, grace_seconds: float) -> Any:
    try:
        from keepstep.server.callbacks import callback_app
        from keepstep.server.listener import Listener
    except ImportError as error:
        raise InvalidInput(f"--http needs more packages ({error.name}): pip install 'keepstep[server]'") from error
    listener = Listener(callback_app(engine), host, port, grace_seconds=grace_seconds)
    await listener.start()
    return listener


def _stop_signal() -> asyncio.Event:
    """Set by the first of ``STOP_SIGNALS``; the second ends the process as if there were no handler."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def heard() -> None:
        stop.set()
        for each in STOP_SIGNALS:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)

    for number in STOP_SIGNALS:
        try:
            loop.add_signal_handler(number, heard)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    return stop


def parse_address(text: str) -> tuple[str, int]:
    """``[HOST:]PORT``. Raises ``InvalidInput``."""
    host, _, port = text.rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise InvalidInput(f"{text!r} is not [HOST:]PORT, such as 8710 or 127.0.0.1:8710")
    return host.strip("[]") or "127.0.0.1", int(port)


def base_url(host: str, port: int) -> str:
    """Where others reach a listener: by this machine's name if it listens on every address."""
    name = socket.gethostname() if host in EVERY_ADDRESS else host
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
