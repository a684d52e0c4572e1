"""`POST /webhook/alert`: from Alertmanager's body to "it is on disk".

    token ──> body, bounded ──> JSON ──> inbox, committed ──> 200
      401       413, 503         400          503

Alertmanager discards what we answer and cancels slow requests, so it is answered right after the commit. Everybody else (curl, the test script)
waits for the analysis. No other 4xx and no 3xx ever: Alertmanager takes both for final and drops the alert.
"""

from __future__ import annotations

import asyncio
import logging
import math
from datetime import timedelta
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response
from prometheus_client import Counter
from pydantic import BeforeValidator, Field

from agent_sre.alert.inbox import Inbox, InboxSettings
from agent_sre.alert.payload import alert_count, decode, firing_count, parse
from agent_sre.investigation.counters import AlertCounters
from agent_sre.kit.clock import Clock
from agent_sre.kit.errors import BadInput, Forbidden, StoreUnavailable, Unavailable
from agent_sre.kit.metrics import REGISTRY
from agent_sre.kit.redact import redact
from agent_sre.web.body import BodyReader, TooLarge, TooSlow, require_token
from agent_sre.web.results import Results, timestamp_text

log = logging.getLogger(__name__)

MAX_WAIT_SECONDS = 60.0
_WAIT_SECONDS = 25.0

_LARGE_BODY = 128 * 1024

REQUESTS = Counter("agent_sre_webhook_requests", "Webhook posts, by the status of the answer.", ["code"], registry=REGISTRY)

EXAMPLE = {
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "HighCPU", "severity": "warning", "pod": "test-pod"},
            "annotations": {"summary": "High CPU usage", "description": "CPU usage above 80%"},
        }
    ]
}


def _wait_of(text: object) -> float:
    """The seconds that `?wait=` asks for: cut to what is allowed, and the default where it is no number. Never an error."""
    # A 422 would be final for Alertmanager, too: `wait=90` in its URL must not cost every alert that it sends.
    try:
        seconds = float(str(text))
    except ValueError:
        return _WAIT_SECONDS
    return _WAIT_SECONDS if math.isnan(seconds) else min(max(seconds, 0.0), MAX_WAIT_SECONDS)


WaitSeconds = Annotated[
    float,
    Query(description="How many seconds to wait for the analysis. Alertmanager itself never waits."),
    Field(ge=0, le=MAX_WAIT_SECONDS),
    BeforeValidator(_wait_of),
]


def webhook_router(*, inbox: Inbox, results: Results, settings: InboxSettings, clock: Clock, service: str, counters: AlertCounters) -> APIRouter:
    """The webhook's route."""
    router = APIRouter(tags=["webhook"])
    bodies = BodyReader(settings)

    async def take(request: Request, wait_seconds: float) -> Response:
        require_token(request, settings.webhook_token)
        body = await bodies.read(request)
        sender = redact(request.headers.get("user-agent", ""))
        try:
            document = await asyncio.to_thread(decode, body) if len(body) > _LARGE_BODY else decode(body)
        except BadInput as error:
            log.warning("Unreadable webhook body kept in quarantine: %s", error, extra={"action": "quarantined"})
            await inbox.reject(body, sender=sender, reason=str(error))
            raise
        alerts = alert_count(document)
        answer: dict[str, Any] = {"message": "No alerts to process", "results": [], "service": service}
        if alerts:
            waits = not sender.startswith("Alertmanager/")
            answer["message"] = f"Processed {firing_count(document, clock.now())} alerts"
            if not waits:
                del document  # hundreds of posts may wait for the disk, and what was parsed of them would keep the garbage collector busy
            counters.received(alerts)
            try:
                inbox_id = await inbox.accept(body, sender=sender, alerts=alerts)
            except StoreUnavailable:
                counters.refused(alerts)
                raise
            if waits:
                now = clock.now()
                message = await asyncio.to_thread(parse, document, now) if len(body) > _LARGE_BODY else parse(document, now)
                answer["results"] = await results.of(
                    message, inbox_id, wait=timedelta(seconds=wait_seconds), base_url=str(request.base_url).rstrip("/")
                )
        answer["timestamp"] = timestamp_text(clock.now())
        return _answer(200, answer)

    async def alertmanager_webhook(request: Request, wait: WaitSeconds = _WAIT_SECONDS) -> Response:
        """Takes a webhook message of Alertmanager, or anything shaped like one. Answers once it is on disk."""
        try:
            response = await take(request, wait)
        except Forbidden as error:
            response = _answer(401, {"error": str(error)}, {"WWW-Authenticate": "Bearer"})
        except BadInput as error:
            response = _answer(400, {"error": str(error)})
        except TooLarge as error:
            response = _answer(413, {"error": str(error)}, {"Connection": "close"})
        except TooSlow as error:
            # 503, not 408: Alertmanager takes every 4xx for final.
            response = _answer(503, {"error": str(error)}, {"Connection": "close"})
        except Unavailable as error:
            # 503, not 200: Alertmanager tries 5xx again by itself, so it holds the alert until we have it on disk.
            # https://github.com/prometheus/alertmanager/blob/main/notify/util.go (Retrier.Check)
            log.error("Could not store a webhook body, Alertmanager will send it again: %s", error, extra={"action": "not_stored"})
            response = _answer(503, {"error": "The alert could not be stored; send it again."})
        REQUESTS.labels(code=str(response.status_code)).inc()
        return response

    documented: dict[str, Any] = {
        "responses": {
            200: {"description": "Stored. The results are empty for Alertmanager, which discards them.", "content": {"application/json": {}}},
            400: {"description": "Not readable; the body is kept in quarantine."},
            401: {"description": "The webhook token is missing or wrong."},
            413: {"description": "The body is over the limit."},
            503: {"description": "Not stored, or the body did not come in time; send it again."},
        },
        "openapi_extra": {
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"type": "object"}, "example": EXAMPLE}},
            }
        },
        "response_class": Response,
    }
    router.add_api_route("/webhook/alert", alertmanager_webhook, methods=["POST"], **documented)
    # The slash must not be a redirect: Alertmanager follows a 301 with a GET and counts it as success.
    router.add_api_route("/webhook/alert/", alertmanager_webhook, methods=["POST"], include_in_schema=False, response_class=Response)
    return router


def _answer(status: int, content: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, headers, media_type="application/json")
