"""Definition: a workflow that some worker serves, published so that clients can check a name and an input."""

from __future__ import annotations

import msgspec


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """A published workflow or step definition."""

    namespace: str
    language: str
    kind: str
    """``workflow`` or ``step``."""
    name: str
    queue: str
    schema: bytes
    """JSON: ``{"arguments": [{"name", "required", "schema"}…], "result": schema, "doc": text}``, and
    ``timeout_seconds`` and ``version`` of a workflow that has them, ``handlers`` of a class by kind and name, and in
    ``receives`` the schemas of signals that its code receives, by name."""
    code: str
    published_at: int
