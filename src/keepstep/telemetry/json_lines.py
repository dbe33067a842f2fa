"""JSON lines: a formatter of log records, one JSON object a line, for machines that collect them."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import msgspec

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
"""What every record has; anything else came as ``extra``."""


class JsonFormatter(logging.Formatter):
    """``time`` (UTC), ``level``, ``logger``, ``message``, what came as ``extra``, and ``error`` with its traceback.

    A value that JSON does not know is written as Python shows it, and an extra never hides what the line itself says.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        for name, value in vars(record).items():
            if name not in _STANDARD and name not in line:
                line[name] = value
        return _encoded(line)


def _encoded(line: dict[str, Any]) -> str:
    try:
        return msgspec.json.encode(line, enc_hook=repr).decode()
    except Exception:  # of an extra that cannot be encoded, such as one that contains itself
        return msgspec.json.encode({name: _plain(value) for name, value in line.items()}).decode()


def _plain(value: Any) -> str:
    """As Python shows it; text that is no Unicode, as file names may be, with escapes."""
    text = value if isinstance(value, str) else repr(value)
    return text.encode("utf-8", "backslashreplace").decode()
