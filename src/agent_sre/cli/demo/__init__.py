"""`agent-sre demo`: the whole way of one alert, with nothing configured.

    exporter that plays a leaking pod ──> Prometheus ──> Alertmanager ──webhook──> Agent-SRE ──> the report

Prometheus and Alertmanager are the real ones where they are installed; otherwise a webhook body that they once sent is replayed.
"""

from agent_sre.cli.demo.demo import run

__all__ = ["run"]
