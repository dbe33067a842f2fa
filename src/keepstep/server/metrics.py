"""``/metrics``: what an engine's ``PrometheusMetrics`` have counted; there is no such address without them."""

from __future__ import annotations

import logging

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from keepstep.client.engine import Engine
from keepstep.journal import JournalError

logger = logging.getLogger("keepstep.server")


def metrics_routes(engine: Engine) -> list[Route]:
    """The address, if somebody counts."""
    if not engine.observers:
        return []
    try:
        from keepstep.telemetry.metrics import PrometheusMetrics
    except ImportError:  # without the extra nobody can have made any
        return []
    metrics = next((each for each in engine.observers if isinstance(each, PrometheusMetrics)), None)
    if metrics is None:
        return []

    async def show(_: Request) -> Response:
        try:
            shown = await metrics.read(engine.journal, engine.namespace)
        except JournalError as error:
            logger.warning("the metrics could not be read: %s", error)
            return PlainTextResponse("the database cannot be asked now\n", 503)
        return Response(shown, media_type=metrics.content_type)

    return [Route("/metrics", show, methods=["GET"])]
