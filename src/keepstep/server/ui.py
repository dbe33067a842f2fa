"""The web UI as files: made from ``ui/`` when the package is built, and served below whatever path the server has.

Files below ``assets/`` have the hash of their content in their names and are kept for ever; ``index.html`` is asked for
each time, so that a new version is there at the next load. It answers for every address that is a page of the UI, and
says in ``<base>`` where the server lives, as a proxy that takes a path off tells by ASGI's ``root_path``.

The policy that goes with it lets the page load from, talk to, and be framed by this server alone.
"""

from __future__ import annotations

import base64
import hashlib
import html
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

STATIC: Final = Path(__file__).parent / "static"
FOR_EVER: Final = "public, max-age=31536000, immutable"
NOT_PAGES: Final = ("api", "callbacks", "login", "assets", "metrics", "healthz", "readyz")
"""First parts of addresses that machines ask for: what is not found below them is no page of the UI."""

NOT_BUILT: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Keepstep</title>
<body>
<h1>Keepstep</h1>
<p>This server runs, but it was installed without its web UI: when it was installed there was no Node, or npm's registry
was out of reach.</p>
<p>In a checkout, <code>make ui</code> builds it and says what is wrong if it cannot; then load this page again.
Elsewhere, install a released package, which has it: <code>pip install --force-reinstall 'keepstep[server]'</code>.</p>
<p>The REST API is at <a href="api/v1/openapi.json">api/v1</a>; <code>keepstep --help</code> shows the command line.</p>
"""


def ui_routes(static: Path = STATIC) -> list[BaseRoute]:
    """The routes of the UI. They take every address that is left, and so stand behind all others."""

    def asset(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _files_in(static / "assets"):
            return _nothing(request)
        return FileResponse(static / "assets" / name, headers={"Cache-Control": FOR_EVER, **_GUARDS})

    def page(request: Request) -> Response:
        path = request.path_params["path"]
        if path.partition("/")[0] in NOT_PAGES:
            return _nothing(request)
        if path in _files_in(static):
            return FileResponse(static / path, headers={"Cache-Control": "no-cache", **_GUARDS})
        return _index(static, request.scope.get("root_path", ""))

    compressed = [Middleware(GZipMiddleware)]
    return [
        Route("/assets/{name}", asset, methods=["GET"], middleware=compressed),
        Route("/{path:path}", page, methods=["GET"]),
    ]


def _nothing(request: Request) -> Response:
    refusal = {"code": "not_found", "message": f"there is nothing at {request.url.path}"}
    return JSONResponse({"error": refusal}, 404)


def _files_in(folder: Path) -> frozenset[str]:
    """What may be served from it; nothing that a path says beyond a name is looked for."""
    if not folder.is_dir():
        return frozenset()  # a UI that is built later is served then
    return frozenset(each.name for each in os.scandir(folder) if each.is_file() and not each.name.startswith("."))


def _index(static: Path, root_path: str) -> Response:
    try:
        text = (static / "index.html").read_text(encoding="utf-8")
    except FileNotFoundError:
        return HTMLResponse(NOT_BUILT, 503, {"Cache-Control": "no-store", **_GUARDS, **_policy("")})
    base = html.escape(root_path.rstrip("/") + "/", quote=True)
    text = text.replace('<base href="/" />', f'<base href="{base}" />', 1)
    return HTMLResponse(text, headers={"Cache-Control": "no-cache", **_GUARDS, **_policy(text)})


_GUARDS: Final[Mapping[str, str]] = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}


def _policy(text: str) -> dict[str, str]:
    """What the page may do. The script within it, which sets the theme before anything is painted, goes by its hash."""
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in scripts]
    allowed = " ".join(["'self'", *(f"'sha256-{each}'" for each in hashes)])
    return {
        "Content-Security-Policy": f"default-src 'none'; script-src {allowed}; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; font-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    }
