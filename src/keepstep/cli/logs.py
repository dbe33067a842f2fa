"""Logs: how much of them a command that lives writes, and in which form."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import click

from keepstep.telemetry.json_lines import JsonFormatter


def log_options(command: Callable[..., int]) -> Callable[..., int]:
    """``--log-level`` and ``--log-format``, which are carried out before the command is."""

    @click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info")
    @click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
    @functools.wraps(command)
    def logging_command(log_level: str, log_format: str, **options: Any) -> int:
        write_logs(log_level, log_format)
        return command(**options)

    return logging_command


def write_logs(level: str, format: str) -> None:
    """Write logs to standard error from now on."""
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    if format == "json":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonFormatter())
