"""The one registry that `/metrics` shows. Every room declares its own series on it; names begin with `agent_sre_`, units are base units."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

REGISTRY = CollectorRegistry()
