"""Agent-SRE: from an Alertmanager webhook to a stored, readable analysis. The floors are drawn in docs/explanation/architecture.md."""

__version__ = "0.1.0"
