"""The other task types over HTTP: one question in, one answer out."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from agent_sre.alert.inbox import InboxSettings
from agent_sre.alert.payload import decode_object
from agent_sre.analysis.agent import Agent
from agent_sre.kit.clock import Clock
from agent_sre.kit.errors import BadInput, Forbidden, StoreUnavailable, Unavailable
from agent_sre.kit.redact import redact
from agent_sre.store.engine import Store
from agent_sre.store.schema import chat
from agent_sre.web.body import BodyReader, TooLarge, TooSlow, require_token
from agent_sre.web.incidents import json
from agent_sre.web.results import timestamp_text

_HISTORY = 6
_KEPT = 8_000  # characters of one turn

_TASKS = (
    # path, field, task type, name of the answer's field, summary
    ("/chat", "message", "general", "response", "Asks the agent anything."),
    ("/analyze-logs", "logs", "logs", "analysis", "Finds the patterns in log lines."),
    ("/incident-response", "incident", "incident", "response", "Advises on an incident described in words."),
    ("/monitoring-advice", "system", "monitoring", "advice", "Says what to monitor about a system."),
)


def chat_router(*, agent: Agent, store: Store, clock: Clock, settings: InboxSettings, service: str) -> APIRouter:
    """The four routes, made from one table."""
    router = APIRouter(tags=["agent"])
    bodies = BodyReader(settings)

    async def answer(request: Request, field: str, task_type: str, answer_field: str) -> dict[str, Any]:
        require_token(request, settings.webhook_token)
        document = decode_object(await bodies.read(request))
        message = document.get(field)
        if not isinstance(message, str) or not message.strip():
            raise BadInput(f'The field "{field}" is missing: send {{"{field}": "…"}}.')
        thread_id = _thread_id(document.get("thread_id"))
        history = await store.read(lambda connection: _turns(connection, thread_id))
        result = await agent.execute(message=message, task_type=task_type, context={"thread_id": thread_id, "history": history})
        text = result.analysis.markdown if result.analysis else ""
        now = clock.now()
        await store.write(lambda connection: _remember(connection, thread_id, message, text, now))
        return {
            answer_field: text,
            "thread_id": thread_id,
            "author": result.analysis.author if result.analysis else None,
            "service": service,
            "timestamp": timestamp_text(now),
        }

    def route(path: str, field: str, task_type: str, answer_field: str, summary: str) -> None:
        async def ask(request: Request) -> Response:
            try:
                return json(await answer(request, field, task_type, answer_field))
            except Forbidden as error:
                return json({"error": str(error)}, 401)
            except BadInput as error:
                return json({"error": str(error)}, 400)
            except TooLarge as error:
                return json({"error": str(error)}, 413)
            except TooSlow as error:
                return json({"error": str(error)}, 408)
            except (StoreUnavailable, Unavailable) as error:
                return json({"error": str(error)}, 503)

        router.add_api_route(
            path,
            ask,
            methods=["POST"],
            name=task_type,
            summary=summary,
            response_class=Response,
            responses={
                200: {"description": "The answer.", "content": {"application/json": {}}},
                400: {"description": f"`{field}` is missing."},
                401: {"description": "The token is missing or wrong."},
                408: {"description": "The body did not come in time."},
                413: {"description": "The body is over the limit."},
                503: {"description": "The store cannot write now."},
            },
            openapi_extra={"requestBody": _request_schema(field)},
        )

    for path, field, task_type, answer_field, summary in _TASKS:
        route(path, field, task_type, answer_field, summary)
    return router


def _request_schema(field: str) -> dict[str, Any]:
    properties = {field: {"type": "string", "minLength": 1}, "thread_id": {"type": "string", "description": "goes on with a conversation"}}
    return {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object", "required": [field], "properties": properties}}},
    }


def _thread_id(given: object) -> str:
    """The conversation's name; one of our own where none, or one that cannot be a name, is given. Alerts' threads are never shared with a chat."""
    if isinstance(given, str) and 0 < len(given) <= 100 and given.isprintable() and not given.startswith("alert-"):
        return given
    return f"chat-{uuid.uuid4().hex[:12]}"


def _turns(connection: Connection, thread_id: str) -> list[tuple[str, str]]:
    rows = connection.execute(
        sa.select(chat.c.role, chat.c.text).where(chat.c.thread_id == thread_id).order_by(chat.c.id.desc()).limit(_HISTORY)
    ).all()
    return [(row.role, row.text) for row in reversed(rows)]


def _remember(connection: Connection, thread_id: str, message: str, answer: str, at: datetime) -> None:
    connection.execute(
        chat.insert(),
        [
            {"thread_id": thread_id, "role": "user", "text": redact(message[: 2 * _KEPT])[:_KEPT], "at": at},
            {"thread_id": thread_id, "role": "assistant", "text": redact(answer[: 2 * _KEPT])[:_KEPT], "at": at},
        ],
    )
