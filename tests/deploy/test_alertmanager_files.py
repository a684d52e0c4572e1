"""Every Alertmanager configuration that we ship loads in a real Alertmanager and sends the right alerts to us."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.repository import ALERTMANAGER, BASE, document, manifest, need, run

# What kube-prometheus-stack has under alertmanager.config before our values come (chart 88.5).
CHART_DEFAULTS: dict[str, Any] = {
    "global": {"resolve_timeout": "5m"},
    "inhibit_rules": [
        {
            "source_matchers": ["severity = critical"],
            "target_matchers": ["severity =~ warning|info"],
            "equal": ["namespace", "alertname"],
        }
    ],
    "route": {
        "receiver": "null",
        "group_by": ["namespace"],
        "routes": [{"receiver": "null", "matchers": ['alertname = "Watchdog"']}],
    },
    "receivers": [{"name": "null"}],
}


def merged_as_helm_does(chart: Any, values: Any) -> Any:
    """Maps merge, everything else is replaced."""
    if isinstance(chart, dict) and isinstance(values, dict):
        return {key: merged_as_helm_does(chart.get(key), values.get(key, chart.get(key))) for key in chart | values}
    return copy.deepcopy(values)


def helm_values() -> dict[str, Any]:
    values: dict[str, Any] = document(ALERTMANAGER / "kube-prometheus-stack-values.yaml")["alertmanager"]
    return values


def release_values() -> dict[str, Any]:
    values: dict[str, Any] = document(ALERTMANAGER / "helmrelease-patch.yaml")["spec"]["values"]["alertmanager"]
    return values


def generated_by_the_operator(namespace_matcher: bool = False) -> dict[str, Any]:
    """The configuration that the Prometheus operator makes of alertmanagerconfig.yaml, as far as we use it."""
    spec = document(ALERTMANAGER / "alertmanagerconfig.yaml")["spec"]
    route, (receiver,) = spec["route"], spec["receivers"]
    (webhook,) = receiver["webhookConfigs"]
    http = webhook["httpConfig"]
    matchers = [f'{m["name"]} {m["matchType"]} "{m["value"]}"' for m in route["matchers"]]
    if namespace_matcher:
        matchers.append('namespace = "agent-sre"')
    return {
        "route": {
            "receiver": "null",
            "routes": [
                {
                    "receiver": route["receiver"],
                    "matchers": matchers,
                    "group_by": route["groupBy"],
                    "group_wait": route["groupWait"],
                    "group_interval": route["groupInterval"],
                    "repeat_interval": route["repeatInterval"],
                    "continue": route["continue"],
                }
            ],
        },
        "receivers": [
            {"name": "null"},
            {
                "name": receiver["name"],
                "webhook_configs": [
                    {
                        "url": webhook["url"],
                        "send_resolved": webhook["sendResolved"],
                        "max_alerts": webhook["maxAlerts"],
                        "http_config": {
                            "follow_redirects": http["followRedirects"],
                            "authorization": {"type": http["authorization"]["type"], "credentials": "from the Secret"},
                        },
                    }
                ],
            },
        ],
    }


CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "alertmanager.yml": document(ALERTMANAGER / "alertmanager.yml"),
    "alertmanager-watchdog.yml": document(ALERTMANAGER / "alertmanager-watchdog.yml"),
    "kube-prometheus-stack-values.yaml": helm_values()["config"],
    "helmrelease-patch.yaml": release_values()["config"],
    "the chart with kube-prometheus-stack-values.yaml": merged_as_helm_does(CHART_DEFAULTS, helm_values()["config"]),
    "alertmanagerconfig.yaml": generated_by_the_operator(),
}
every_configuration = pytest.mark.parametrize("config", CONFIGURATIONS.values(), ids=CONFIGURATIONS.keys())


def written(config: dict[str, Any], folder: Path) -> Path:
    path = folder / "alertmanager.yml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def receivers_of(config: dict[str, Any], folder: Path, *labels: str) -> list[str]:
    """Whom a real Alertmanager would notify of an alert with these labels."""
    told = run(need("amtool"), "config", "routes", "test", f"--config.file={written(config, folder)}", *labels)
    assert told.returncode == 0, told.stderr
    return told.stdout.strip().split(",")


def our_webhook(config: dict[str, Any]) -> dict[str, Any]:
    (receiver,) = (receiver for receiver in config["receivers"] if receiver["name"] == "ai-agent-webhook")
    (webhook,) = receiver["webhook_configs"]
    return dict(webhook)


def our_route(config: dict[str, Any]) -> dict[str, Any]:
    (route,) = (
        route for route in config["route"]["routes"] if route["receiver"] == "ai-agent-webhook" and 'alertname = "Watchdog"' not in route["matchers"]
    )
    return dict(route)


def test_every_file_in_the_folder_is_tested_here() -> None:
    assert {path.name for path in ALERTMANAGER.iterdir()} <= set(CONFIGURATIONS)


@every_configuration
def test_a_real_alertmanager_loads_it(config: dict[str, Any], tmp_path: Path) -> None:
    checked = run(need("amtool"), "check-config", written(config, tmp_path))
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", ["alertmanager.yml", "alertmanager-watchdog.yml"])
def test_the_plain_files_load_just_as_they_lie_there(name: str) -> None:
    checked = run(need("amtool"), "check-config", ALERTMANAGER / name)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_only_our_route_and_receiver_in_the_chart_would_not_load(tmp_path: Path) -> None:
    """Why the Helm values restate both lists."""
    ours = helm_values()["config"]
    short = {"route": {"routes": [our_route(ours)]}, "receivers": [r for r in ours["receivers"] if r["name"] != "null"]}
    checked = run(need("amtool"), "check-config", written(merged_as_helm_does(CHART_DEFAULTS, short), tmp_path))
    assert checked.returncode != 0
    assert 'undefined receiver "null"' in checked.stdout + checked.stderr


@every_configuration
@pytest.mark.parametrize("severity", ["warning", "critical"])
def test_a_warning_and_a_critical_alert_reach_agent_sre(config: dict[str, Any], severity: str, tmp_path: Path) -> None:
    labels = ("alertname=KubePodCrashLooping", "namespace=shop", f"severity={severity}")
    assert receivers_of(config, tmp_path, *labels) == ["ai-agent-webhook"]


@every_configuration
@pytest.mark.parametrize("labels", [["severity=info"], ["severity=none"], ["severity=warnings"], []], ids=str)
def test_no_other_severity_is_sent(config: dict[str, Any], labels: list[str], tmp_path: Path) -> None:
    assert receivers_of(config, tmp_path, "alertname=CPUThrottlingHigh", "namespace=shop", *labels) == ["null"]


@every_configuration
def test_the_people_who_were_told_before_are_still_told(config: dict[str, Any], tmp_path: Path) -> None:
    with_people = copy.deepcopy(config)
    with_people["receivers"].append({"name": "people"})
    with_people["route"]["routes"].append({"receiver": "people", "matchers": ['severity = "critical"']})
    told = receivers_of(with_people, tmp_path, "alertname=KubePodCrashLooping", "severity=critical")
    assert told == ["ai-agent-webhook", "people"]


@every_configuration
@pytest.mark.parametrize("alertname", ["Watchdog", "InfoInhibitor"])
def test_watchdog_and_info_inhibitor_reach_nobody_but_the_heartbeat(config: dict[str, Any], alertname: str, tmp_path: Path) -> None:
    heartbeat = alertname == "Watchdog" and config is CONFIGURATIONS["alertmanager-watchdog.yml"]
    told = receivers_of(config, tmp_path, f"alertname={alertname}", "severity=none")
    assert told == ["ai-agent-webhook" if heartbeat else "null"]


@pytest.mark.parametrize("name", [name for name in CONFIGURATIONS if name != "alertmanagerconfig.yaml"])
@pytest.mark.parametrize("alertname", ["Watchdog", "InfoInhibitor"])
def test_they_stay_away_from_people_also_where_the_root_tells_people(name: str, alertname: str, tmp_path: Path) -> None:
    with_people = copy.deepcopy(CONFIGURATIONS[name])
    with_people["receivers"].append({"name": "people"})
    with_people["route"]["receiver"] = "people"
    assert "people" not in receivers_of(with_people, tmp_path, f"alertname={alertname}", "severity=none")


def test_the_heartbeat_comes_every_few_minutes() -> None:
    (route,) = (route for route in CONFIGURATIONS["alertmanager-watchdog.yml"]["route"]["routes"] if 'alertname = "Watchdog"' in route["matchers"])
    assert route["repeat_interval"] == "5m"
    assert route["group_interval"] == "1m"  # a repeat waits for the next tick of it: with 5m it would come every 10 minutes


def test_the_watchdog_variant_differs_in_nothing_but_the_watchdog() -> None:
    plain, watchdog = (copy.deepcopy(CONFIGURATIONS[name]) for name in ("alertmanager.yml", "alertmanager-watchdog.yml"))
    for config in (plain, watchdog):
        config["route"]["routes"] = [r for r in config["route"]["routes"] if 'alertname = "Watchdog"' not in r["matchers"]]
    assert plain == watchdog


@every_configuration
def test_the_webhook_is_the_contract(config: dict[str, Any]) -> None:
    service = manifest("Service", "sre-agent-service")
    (port,) = service["spec"]["ports"]
    host = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc.cluster.local"
    webhook = our_webhook(config)
    assert webhook["url"] == f"http://{host}:{port['port']}/webhook/alert"
    assert webhook["send_resolved"] is True
    assert webhook["max_alerts"] == 0
    assert webhook["http_config"]["follow_redirects"] is False
    assert our_route(config)["continue"] is True
    assert our_route(config)["matchers"] == ['severity =~ "warning|critical"']


def test_the_token_file_is_where_the_operator_mounts_the_secret() -> None:
    volumes = manifest("Deployment", "sre-agent")["spec"]["template"]["spec"]["volumes"]
    (secret,) = (volume["secret"]["secretName"] for volume in volumes if "secret" in volume)
    for values in (helm_values(), release_values()):
        assert values["alertmanagerSpec"]["secrets"] == [secret]
        authorization = our_webhook(values["config"])["http_config"]["authorization"]
        assert authorization == {"type": "Bearer", "credentials_file": f"/etc/alertmanager/secrets/{secret}/token"}
    webhooks = document(ALERTMANAGER / "alertmanagerconfig.yaml")["spec"]["receivers"][0]["webhookConfigs"]
    assert webhooks[0]["httpConfig"]["authorization"]["credentials"] == {"name": secret, "key": "token"}
    assert (BASE / "secret.example.yaml").read_text(encoding="utf-8").count("--from-file=token") == 2


def test_both_helm_forms_carry_the_same_values() -> None:
    assert helm_values() == release_values()


def test_the_helm_form_routes_as_the_plain_file_does() -> None:
    plain = CONFIGURATIONS["alertmanager.yml"]
    assert helm_values()["config"]["route"] == plain["route"]
    assert helm_values()["config"]["receivers"] == plain["receivers"]


def test_the_alertmanagerconfig_lies_with_alertmanager_and_not_with_us(tmp_path: Path) -> None:
    path = ALERTMANAGER / "alertmanagerconfig.yaml"
    namespace = document(ALERTMANAGER / "helmrelease-patch.yaml")["metadata"]["namespace"]
    assert document(path)["metadata"]["namespace"] == namespace != "agent-sre"
    # The trap that its comment explains: in agent-sre the operator would add this matcher, and the shop's alert is lost.
    trapped = generated_by_the_operator(namespace_matcher=True)
    assert receivers_of(trapped, tmp_path, "alertname=X", "namespace=shop", "severity=critical") == ["null"]
    assert "OnNamespaceExceptForAlertmanagerNamespace" in path.read_text(encoding="utf-8")
