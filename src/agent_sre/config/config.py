"""All settings of a process, made of the rooms' own Settings."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent_sre.alert.inbox import InboxSettings
from agent_sre.analysis.agent import AgentSettings
from agent_sre.analysis.llm.ollama import OllamaSettings
from agent_sre.analysis.llm.openai import OpenAISettings
from agent_sre.evidence.alertmanager.client import AlertmanagerSettings
from agent_sre.evidence.kubernetes.client import KubernetesSettings
from agent_sre.evidence.loki.client import LokiSettings
from agent_sre.evidence.prometheus.client import PrometheusSettings
from agent_sre.incident.correlation import CorrelationSettings
from agent_sre.investigation.investigation import InvestigationSettings
from agent_sre.investigation.reconcile import ReconcileSettings
from agent_sre.kit.logs import LogSettings
from agent_sre.queue.job import QueueSettings
from agent_sre.store.engine import StoreSettings
from agent_sre.web.server import ServerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybookSettings:
    """Knowledge of your own."""

    folder: str = ""
    """A folder with playbooks of your own (*.toml); they win over the packaged ones. Empty: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that `app.build` needs."""

    agent: AgentSettings = field(default_factory=AgentSettings)
    alertmanager: AlertmanagerSettings = field(default_factory=AlertmanagerSettings)
    correlation: CorrelationSettings = field(default_factory=CorrelationSettings)
    inbox: InboxSettings = field(default_factory=InboxSettings)
    investigation: InvestigationSettings = field(default_factory=InvestigationSettings)
    kubernetes: KubernetesSettings = field(default_factory=KubernetesSettings)
    logs: LogSettings = field(default_factory=LogSettings)
    loki: LokiSettings = field(default_factory=LokiSettings)
    ollama: OllamaSettings = field(default_factory=OllamaSettings)
    openai: OpenAISettings = field(default_factory=OpenAISettings)
    playbooks: PlaybookSettings = field(default_factory=PlaybookSettings)
    prometheus: PrometheusSettings = field(default_factory=PrometheusSettings)
    queue: QueueSettings = field(default_factory=QueueSettings)
    reconcile: ReconcileSettings = field(default_factory=ReconcileSettings)
    server: ServerSettings = field(default_factory=ServerSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
