"""An Alertmanager over a real socket: the v2 API's answers and its ways to fail. What filters mean is tested with the real program.

    async with FakeAlertmanager() as alertmanager:
        alertmanager.hold({"alertname": "Slow"}, silenced_by=["s1"])
        alertmanager.silences.append(a_silence("s1", 'alertname="Slow"'))
        alertmanager.faults["/api/v2/alerts"] = "hang"                       "*" is every path
        client = AlertmanagerClient(AlertmanagerSettings(url=alertmanager.url))

Faults: see http.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from agent_sre.alert.alert import fingerprint_of
from fakes.http import FakeServer, RecordedRequest

STARTED_AT = "2026-11-20T00:00:00.000Z"


@dataclass
class FakeAlertmanager(FakeServer):
    """The server; see the top of this module."""

    alerts: list[dict[str, Any]] = field(default_factory=list)
    silences: list[dict[str, Any]] = field(default_factory=list)
    started_at: str = STARTED_AT
    answer_by_filter: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # alerts, by the first filter asked for

    strange: ClassVar[Mapping[str, str]] = {
        "wrong-types": '[{"labels":{"a":"1"},"status":{"state":"active"},"receivers":[7],"matchers":[3]}]',
        "no-data": "{}",
        "scalar-labels": '[{"labels":"m","status":{"state":"active"},"matchers":"x"}]',
        "error-200": '"who knows"',
    }

    def hold(
        self,
        labels: Mapping[str, str],
        *,
        silenced_by: Sequence[str] = (),
        inhibited_by: Sequence[str] = (),
        starts_at: str = "2026-11-23T06:00:00.000Z",
        receivers: Sequence[str] = ("ai-agent-webhook",),
        **more: Any,
    ) -> str:
        """An alert that it has; its fingerprint."""
        fingerprint = fingerprint_of(labels)
        state = "suppressed" if silenced_by or inhibited_by else "active"
        self.alerts.append(
            {
                "labels": dict(labels), "annotations": {}, "fingerprint": fingerprint, "startsAt": starts_at, "endsAt": "2099-01-01T00:00:00.000Z",
                "receivers": [{"name": name} for name in receivers], "generatorURL": "",
                "status": {"state": state, "silencedBy": list(silenced_by), "inhibitedBy": list(inhibited_by)}, **more,
            }
        )  # fmt: skip
        return fingerprint

    def error(self, words: str, kind: str) -> str:
        return json.dumps(words)

    def reply(self, request: RecordedRequest) -> Any:
        if request.path == "/api/v2/alerts":
            first = (request.fields.get("filter") or [""])[0]
            return [alert for alert in self.answer_by_filter.get(first, self.alerts) if _wanted(alert, request.form)]
        if request.path == "/api/v2/silences":
            return self.silences
        if request.path == "/api/v2/status":
            return {
                "cluster": {"status": "disabled", "peers": []}, "config": {"original": "global: {smtp_auth_password: <secret>}"},
                "uptime": self.started_at, "versionInfo": {"version": "0.25.0"},
            }  # fmt: skip
        raise AssertionError(f"unexpected request {request}")


def a_silence(
    name: str,
    *matchers: tuple[str, str, str],
    state: str = "active",
    starts_at: str = "2026-11-23T05:00:00.000Z",
    ends_at: str = "2026-11-23T09:00:00.000Z",
    created_by: str = "ada",
    comment: str = "planned work",
) -> dict[str, Any]:
    """A silence as the API shows it; matchers are (label, operator, value)."""
    shown = [{"name": label, "value": value, "isRegex": "~" in operator, "isEqual": "!" not in operator} for label, operator, value in matchers]
    return {
        "id": name, "status": {"state": state}, "startsAt": starts_at, "endsAt": ends_at, "updatedAt": starts_at, "createdBy": created_by,
        "comment": comment, "matchers": shown,
    }  # fmt: skip


def _wanted(alert: dict[str, Any], form: dict[str, str]) -> bool:
    status = alert["status"]
    if status["silencedBy"] and form["silenced"] == "false":
        return False
    if status["inhibitedBy"] and form["inhibited"] == "false":
        return False
    return status["state"] == "suppressed" or form["active"] == "true"
