"""`agent-sre check`."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta

import orjson
import typer

from agent_sre.config.load import load_config

_TIMEOUT = timedelta(seconds=3)


def run(*, as_json: bool) -> int:
    """One line per setting group and connection; the exit status."""
    lines = asyncio.run(_look())
    if as_json:
        typer.echo(orjson.dumps([dict(zip(("name", "state", "detail"), line, strict=True)) for line in lines], option=orjson.OPT_INDENT_2))
    else:
        width = max(len(name) for name, _, _ in lines)
        for name, state, detail in lines:
            typer.secho(f"{name:<{width}}  ", nl=False)
            typer.secho(f"{state:<5}", nl=False, fg={"ok": "green", "error": "red"}.get(state, "yellow"))
            typer.echo(f"  {detail}")
    return 1 if any(state == "error" for _, state, _ in lines) else 0


async def _look() -> list[tuple[str, str, str]]:
    config = load_config(os.environ)  # a wrong setting ends here, in one sentence
    lines = [("settings", "ok", "every setting can be read")]
    from agent_sre.app import build

    application = build(config)
    try:
        await application.store.check_writable()
        lines.append(("store", "ok", f"{application.store.path} can be written"))
        door = "a token is asked for" if config.inbox.webhook_token else "no token is asked for"
        lines.append(("webhook", "ok", f"http://{config.server.host}:{config.server.port}/webhook/alert, {door}"))
        model = await application.model.check(_TIMEOUT)
        lines.append((application.model.provider, "ok" if model.connected else "error", model.detail))
        for source in application.sources:
            health = await source.check(_TIMEOUT)
            lines.append((health.name, health.state, health.reason))
    finally:
        await application.close()
    return lines
