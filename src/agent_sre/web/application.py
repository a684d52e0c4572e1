"""The ASGI application: routes, metrics, and the outer net that turns what nobody expected into a logged 500."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from starlette.exceptions import HTTPException

from agent_sre import __version__
from agent_sre.kit.errors import StoreUnavailable
from agent_sre.kit.metrics import REGISTRY
from agent_sre.web.health import Health
from agent_sre.web.incidents import error_response, html, json

log = logging.getLogger(__name__)

CollectMetrics = Callable[[], Awaitable[Iterable[Metric]]]
"""Metrics that are read from somewhere at scrape time."""


def build_application(*, routers: Sequence[APIRouter], health: Health, collect: Sequence[CollectMetrics]) -> FastAPI:
    """All routes in one application. It has no life of its own: `app.App` starts and stops what works behind it."""
    application = FastAPI(
        title="Agent-SRE",
        version=__version__,
        description="Takes alerts from Alertmanager, says what is wrong, what it measured, and what to do next.",
        docs_url=None,
        redoc_url=None,
    )
    for router in routers:
        application.include_router(router)
    _add_system_routes(application, health, collect)

    @application.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        response = error_response(request, error.status_code, str(error.detail))
        response.headers.update(error.headers or {})
        return response

    @application.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return error_response(request, 422, f"{first['loc'][-1]}: {first['msg']}.")

    @application.exception_handler(StoreUnavailable)
    async def unavailable(request: Request, error: StoreUnavailable) -> Response:
        log.error("A request failed because the store did: %s", error, extra={"action": "request_failed"})
        return error_response(request, 503, "The database does not answer now; try again.")

    @application.exception_handler(Exception)  # the web's outer net
    async def failed(request: Request, error: Exception) -> Response:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error, extra={"action": "request_failed"})
        return error_response(request, 500, "Something went wrong here; the log says what.")

    return application


def _add_system_routes(application: FastAPI, health: Health, collect: Sequence[CollectMetrics]) -> None:
    @application.get("/health", tags=["system"])
    async def read_health() -> Response:
        """Whether everything behind the service works. Always 200 while the service itself does; `status` says the rest."""
        return json(await health.report())

    @application.get("/ready", tags=["system"], responses={503: {"description": "An alert could not be stored now."}})
    async def read_ready() -> Response:
        """Whether an alert that came now would be stored."""
        ready, body = await health.ready()
        return json(body, 200 if ready else 503)

    @application.get("/status", tags=["system"])
    async def read_status() -> Response:
        """The health, and how the work goes."""
        return json(await health.status())

    @application.get("/metrics", tags=["system"], response_class=Response)
    async def read_metrics() -> Response:
        """Metrics in Prometheus' text format."""
        scraped = CollectorRegistry()
        scraped.register(_Fixed([metric for look in collect for metric in await look()]))
        body = generate_latest(REGISTRY) + generate_latest(scraped)
        return Response(body, media_type="text/plain; version=0.0.4; charset=utf-8")

    @application.get("/docs", include_in_schema=False)
    async def read_docs() -> Response:
        from agent_sre.web.pages import render_docs

        return html(render_docs(application.openapi()))

    @application.get("/static/{name}", include_in_schema=False)
    async def read_asset(request: Request, name: str) -> Response:
        from agent_sre.web.pages import ASSET_HEADERS, asset

        found = asset(name)
        if found is None:
            return error_response(request, 404, "There is no such file.")
        return Response(found.body, headers=ASSET_HEADERS, media_type=found.content_type)

    @application.get("/", include_in_schema=False)
    async def go_to_incidents() -> Response:
        return Response(status_code=307, headers={"Location": "/incidents"})


class _Fixed:
    """A collector of metrics that were read already."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Sequence[Metric]:
        return self._metrics
