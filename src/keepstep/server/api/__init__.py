"""The REST API, one noun a module. A module that has routes is named here, and with that they are served."""

from keepstep.server.route import Route

from . import control, history, messages, runs

BASE = "/api/v1"

ROUTES: tuple[Route, ...] = (*runs.routes.all, *history.routes.all, *messages.routes.all, *control.routes.all)
"""All of them. Of two that fit an address the first counts."""
