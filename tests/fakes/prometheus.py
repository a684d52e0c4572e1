"""A Prometheus over a real socket: its envelope and its ways to fail, without its query engine.

    async with FakePrometheus() as prometheus:
        prometheus.answer("up", FakeSeries({"job": "api"}, 1.0))       this expression has this series
        prometheus.faults["/api/v1/query_range"] = "hang"              this path fails like this; "*" is every path
        client = PrometheusClient(PrometheusSettings(url=prometheus.url))
        …
        prometheus.requests[0].form["query"]                           what was really asked

An expression that nobody gave an answer to has no series. What expressions mean is tested with the real program (tests/programs.py).
Faults: see http.py.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from fakes.http import FAULTS, FakeServer, RecordedRequest, refuse

__all__ = ["FAULTS", "FakePrometheus", "FakeSeries", "refuse"]

Value = float | Callable[[float], float | None]


@dataclass(frozen=True)
class FakeSeries:
    """One series: a constant, or a function of unix seconds; None is no sample. NaN and infinities are sent as Prometheus does."""

    labels: Mapping[str, str]
    value: Value

    def at(self, instant: float) -> float | None:
        return self.value(instant) if callable(self.value) else self.value


@dataclass
class FakePrometheus(FakeServer):
    """The server; see the top of this module."""

    rules: list[dict[str, Any]] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    targets: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    strange: ClassVar[Mapping[str, str]] = {
        "wrong-types": '{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":1},"values":[["x",{}],7]}],"groups":7,'
        '"alerts":"x","activeTargets":[3]}}',
        "no-data": '{"status":"success"}',
        "scalar-labels": '{"status":"success","data":{"resultType":"vector","result":[{"metric":"m","value":[1,"2"]}],'
        '"groups":[{"rules":[{"labels":3}]}],"alerts":[{"labels":3}],"activeTargets":[{"labels":"x"}]}}',
        "error-200": '{"status":"error","errorType":"internal","error":"who knows"}',
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        self._series_by_expression: dict[str, Sequence[FakeSeries]] = {}

    def answer(self, expression: str, *series: FakeSeries) -> None:
        """This expression, letter by letter, has these series."""
        self._series_by_expression[expression] = series

    def rule(self, name: str, expression: str, **more: Any) -> None:
        """A rule that `/api/v1/rules` shows. `duration` is in seconds."""
        rule = {"name": name, "query": expression, "duration": 0, "labels": {}, "annotations": {}, "alerts": []}
        self.rules.append({**rule, "health": "ok", "type": "alerting", **more})

    @property
    def expressions(self) -> list[str]:
        """The PromQL that was asked for, in order."""
        return [request.form["query"] for request in self.requests if "query" in request.form]

    def error(self, words: str, kind: str) -> str:
        return json.dumps({"status": "error", "errorType": kind, "error": words})

    def reply(self, request: RecordedRequest) -> dict[str, Any]:
        path, form = request.path, request.form
        if path in ("/api/v1/query", "/api/v1/query_range"):
            data: dict[str, Any] = self._query(form) if path.endswith("query") else self._query_range(form)
        elif path == "/api/v1/rules":
            data = {"groups": [{"name": "fake", "file": "fake.yml", "interval": 15, "rules": self.rules}]}
        elif path == "/api/v1/alerts":
            data = {"alerts": self.alerts}
        elif path == "/api/v1/targets":
            data = {"activeTargets": self.targets, "droppedTargets": []}
        elif path == "/api/v1/status/buildinfo":
            data = {"version": "3.5.3", "goVersion": "go1.24"}
        else:
            raise AssertionError(f"unexpected request {request}")
        return {"status": "success", "data": data} | ({"warnings": self.warnings} if self.warnings else {})

    def _query(self, form: dict[str, str]) -> dict[str, Any]:
        at = float(form["time"])
        sampled = ((series.labels, series.at(at)) for series in self._of(form))
        return {"resultType": "vector", "result": [{"metric": dict(m), "value": [at, _text(v)]} for m, v in sampled if v is not None]}

    def _query_range(self, form: dict[str, str]) -> dict[str, Any]:
        start, end, step = float(form["start"]), float(form["end"]), float(form["step"])
        instants = [start + number * step for number in range(int((end - start) / step + 1e-9) + 1)]
        assert len(instants) <= 11_000
        result = []
        for series in self._of(form):
            values = [[at, _text(value)] for at in instants if (value := series.at(at)) is not None]
            if values:
                result.append({"metric": dict(series.labels), "values": values})
        return {"resultType": "matrix", "result": result}

    def _of(self, form: dict[str, str]) -> Sequence[FakeSeries]:
        expression = form["query"]
        if expression == "vector(1)":
            return [FakeSeries({}, 1.0)]
        return self._series_by_expression.get(expression, ())


def _text(value: float) -> str:
    """A sample as Go writes it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)
