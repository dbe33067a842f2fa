"""The REST API, one noun a module. A module that has routes is named here, and with that they are served."""

from keepstep.server.route import Route

from . import (
    attributes,
    bulk,
    changes,
    control,
    history,
    journal,
    messages,
    namespaces,
    overview,
    people,
    queues,
    runs,
    schedules,
    session,
    streams,
    timeline,
    views,
    workers,
)

BASE = "/api/v1"

_NOUNS = (
    runs,
    history,
    timeline,
    streams,
    messages,
    control,
    bulk,
    schedules,
    queues,
    workers,
    attributes,
    people,
    views,
    overview,
    namespaces,
    changes,
    session,
    journal,
)

ROUTES: tuple[Route, ...] = tuple(route for noun in _NOUNS for route in noun.routes.all)
"""All of them. Of two that fit an address the first counts."""
