"""docs/reference/evidence.md and the sources say the same."""

from __future__ import annotations

import re
from pathlib import Path

from agent_sre.evidence.alert_source import AlertSource
from agent_sre.evidence.alertmanager.client import AlertmanagerClient, AlertmanagerSettings
from agent_sre.evidence.alertmanager.source import AlertmanagerSource
from agent_sre.evidence.bundle.bundle import load_bundle
from agent_sre.evidence.bundle.source import BundleSource
from agent_sre.evidence.derived import CHANGES
from agent_sre.evidence.history import HistorySource
from agent_sre.evidence.kubernetes.client import KubernetesSettings
from agent_sre.evidence.kubernetes.plan import LOGS
from agent_sre.evidence.kubernetes.resources import RESOURCES
from agent_sre.evidence.loki.client import LokiClient, LokiSettings
from agent_sre.evidence.loki.source import LokiSource
from agent_sre.evidence.prometheus.client import PrometheusClient, PrometheusSettings
from agent_sre.evidence.prometheus.source import PrometheusSource
from agent_sre.kit.clock import FakeClock
from agent_sre.store.engine import StoreSettings, open_store
from evidence.builders import NOW, an_alert, an_incident

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "reference" / "evidence.md").read_text()


def test_every_source_and_every_kind_of_query_has_a_heading(tmp_path: Path) -> None:
    headings: dict[str, list[str]] = {}
    for level, name in re.findall(r"^##(#?) (?:Source|Kind): (\w+)$", PAGE, re.MULTILINE):
        if level:
            headings[list(headings)[-1]].append(name)
        else:
            headings[name] = []
    prometheus = PrometheusSource(PrometheusClient(PrometheusSettings(url="http://p")), FakeClock(NOW))
    store = open_store(StoreSettings(database_url=f"sqlite:///{tmp_path / 'docs.db'}"))
    alertmanager = AlertmanagerSource(AlertmanagerClient(AlertmanagerSettings(url="http://a")), store, FakeClock(NOW))
    loki = LokiSource(LokiClient(LokiSettings(url="http://l")), FakeClock(NOW))
    two = an_incident(an_alert("A"), an_alert("B"))
    storm = an_incident(*(an_alert(labels={"pod": f"cart-{number}"}) for number in range(3)))
    assert headings == {
        "alert": [query.kind for query in AlertSource(FakeClock(NOW)).plan(two, NOW)],
        "history": [query.kind for query in HistorySource(store, FakeClock(NOW)).plan(storm, NOW)],
        "prometheus": list(prometheus._fetch_by_kind),
        "kubernetes": [*(plural for plural in RESOURCES if plural != "endpointslices"), CHANGES, LOGS],
        "alertmanager": list(alertmanager._fetch_by_kind),
        "loki": list(loki._fetch_by_kind),
        "bundle": list(BundleSource(load_bundle(DOCS), NOW)._fetch_by_kind),
    }
    store.close()


def test_every_setting_of_prometheus_is_in_the_how_to() -> None:
    page = (DOCS / "how-to" / "prometheus.md").read_text()
    for name in PrometheusSettings.__dataclass_fields__:
        assert "PROMETHEUS_URL" in page if name == "url" else f"`AGENT_SRE_PROMETHEUS_{name.upper()}`" in page, name


def test_every_setting_of_kubernetes_is_in_the_how_to() -> None:
    page = (DOCS / "how-to" / "kubernetes.md").read_text()
    for name in KubernetesSettings.__dataclass_fields__:
        assert "`KUBECONFIG`" in page if name == "kubeconfig" else f"`AGENT_SRE_KUBERNETES_{name.upper()}`" in page, name


def test_every_setting_of_alertmanager_is_in_the_how_to() -> None:
    page = (DOCS / "how-to" / "alertmanager-api.md").read_text()
    for name in AlertmanagerSettings.__dataclass_fields__:
        assert "ALERTMANAGER_URL" in page if name == "url" else f"`AGENT_SRE_ALERTMANAGER_{name.upper()}`" in page, name


def test_every_setting_of_loki_is_in_the_how_to() -> None:
    page = (DOCS / "how-to" / "loki.md").read_text()
    for name in LokiSettings.__dataclass_fields__:
        assert "LOKI_URL" in page if name == "url" else f"`AGENT_SRE_LOKI_{name.upper()}`" in page, name
