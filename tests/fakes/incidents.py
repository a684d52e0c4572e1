"""One incident as it really looks: the cart service of a shop runs into its memory limit after a rollout, and checkout suffers.

    cart_incident()      three alerts, one of them a neighbour's
    cart_timeline()      from the rollout's first crash to the report
    cart_analysis()      evidence with series and facts, gaps, hypotheses, recommendations
    cart_view(stage)     all of it as the page wants it, at any stage
    world_view()         the same with evidence of every other kind: log patterns, objects, changes, dependencies
    incident_rows(n)     a list of n incidents of all severities, states and stages

Everything is fixed: the same call gives the same value, and NOW is the instant at which a test looks.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from agent_sre.alert.alert import AlertStatus, Severity, fingerprint_of
from agent_sre.alert.subject import Subject
from agent_sre.analysis.analysis import RULES, Analysis, Horizon, InvestigationQuery, Recommendation
from agent_sre.analysis.markdown import to_markdown
from agent_sre.evidence.evidence import (
    Change,
    Data,
    Dependency,
    Evidence,
    Fact,
    Gap,
    KubernetesObject,
    LogPattern,
    MetricSeries,
    Query,
    Window,
)
from agent_sre.finding.finding import Confidence, Hypothesis
from agent_sre.incident.incident import Incident, IncidentStatus, MemberAlert, TimelineEntry
from agent_sre.web.pages import IncidentRow, IncidentView, Step

TRIGGERED_AT = datetime(2026, 11, 23, 6, 40, 11, tzinfo=UTC)
NOW = TRIGGERED_AT + timedelta(minutes=12, seconds=20)

CART = Subject(kind="Deployment", name="cart", namespace="shop", cluster="prod-eu1", container="cart")
CHECKOUT = Subject(kind="Deployment", name="checkout", namespace="shop", cluster="prod-eu1", service="checkout")

_MIB = 1024**2
_PROMETHEUS = "https://prometheus.example.org"


def cart_incident() -> Incident:
    """Three alerts: the crash loop, its missing replicas, and the errors of the service that calls it."""
    crash = _member(
        1,
        "KubePodCrashLooping",
        "critical",
        CART,
        "opened the incident",
        labels={"namespace": "shop", "pod": "cart-7d9c5b6f4-x2lqn", "container": "cart", "reason": "CrashLoopBackOff"},
        annotations={
            "summary": "Pod is crash looping.",
            "description": 'Pod shop/cart-7d9c5b6f4-x2lqn (cart) is in waiting state (reason: "CrashLoopBackOff") on cluster prod-eu1.',
            "runbook_url": "https://runbooks.example.org/kubepodcrashlooping",
        },
        after=-timedelta(minutes=4),  # the rule fires, Alertmanager waits for its group, then posts
        sightings=4,
    )
    replicas = _member(
        2,
        "KubeDeploymentReplicasMismatch",
        "warning",
        CART,
        "same subject as the incident",
        labels={"namespace": "shop", "deployment": "cart"},
        annotations={"summary": "Deployment has not matched the expected number of replicas."},
        after=timedelta(minutes=2),
    )
    errors = _member(
        3,
        "CheckoutErrorRateHigh",
        "warning",
        CHECKOUT,
        "same Alertmanager group, within 10 min of the incident's other alerts",
        labels={"namespace": "shop", "service": "checkout", "team": "payments"},
        annotations={"summary": "More than 5 % of checkout requests fail.", "description": "31 % of requests to checkout end with 5xx."},
        after=timedelta(minutes=3, seconds=30),
    )
    return Incident(
        id=118,
        group_key='{}/{severity=~"warning|critical"}:{namespace="shop"}',
        title="KubePodCrashLooping: cart in shop restarts again and again",
        severity=Severity.CRITICAL,
        status=IncidentStatus.TRIGGERED,
        subject=CART,
        alerts=(crash, replicas, errors),
        triggered_at=TRIGGERED_AT,
        last_alert_at=TRIGGERED_AT + timedelta(minutes=3, seconds=30),
        acknowledged_at=None,
        resolved_at=None,
    )


def cart_timeline() -> tuple[TimelineEntry, ...]:
    """What happened, oldest first."""
    return (
        _entry(0, "triggered", "KubePodCrashLooping opened the incident"),
        _entry(0.4, "investigation", "investigation 1 started"),
        _entry(1.6, "report", "preliminary report by the rules"),
        _entry(16, "report", "complete report by gemma3n:e4b"),
        _entry(120, "joined", "KubeDeploymentReplicasMismatch joined: same subject as the incident"),
        _entry(210, "joined", "CheckoutErrorRateHigh joined: same Alertmanager group, within 10 min of the incident's other alerts"),
        _entry(211, "investigation", "investigation 2 started: 2 alerts joined"),
        _entry(226, "report", "complete report by gemma3n:e4b"),
        _entry(300, "repeated", "KubePodCrashLooping was sent again (4 times so far)"),
    )


def cart_analysis(*, author: str = "gemma3n:e4b") -> Analysis:
    """The complete analysis; with `author=RULES` what the rules alone would have said."""
    by_rules = author == RULES
    analysis = Analysis(
        task_type="incident",
        title="Container `cart` in shop/cart is killed for memory and restarts",
        observations=(
            "Container `cart` was OOMKilled 11 times in the last 30 min, the first time at 06:21 [E01].",
            "Its working set climbs from 118 MiB to the limit of 256 MiB in about 90 s after each start [E02].",
            "5xx answers of checkout rose from 0.2 % to 31 % at 06:38 [E03]; its calls to cart time out.",
            "Image `shop/cart:2.4.1` is 25 minutes old; 2.4.0 ran for 19 days without a restart [E04].",
        ),
        root_cause="Since image 2.4.1, `cart` needs more memory than its limit of 256 MiB and is killed again and again [E01] [E02]. "
        "The rollout finished three minutes before the first kill [E04].",
        impact="Checkout fails for about every third customer; carts are lost at each restart [E03].",
        hypotheses=(
            Hypothesis(
                id="H1",
                cause="Image `2.4.1` leaks memory or loads more than `2.4.0` did, and reaches the limit",
                subject=CART,
                score=0.82,
                supporting=("E01", "E02", "E04"),
                contradicting=(),
                check="Roll back; the working set should stay below 150 MiB as it did before.",
            ),
            Hypothesis(
                id="H2",
                cause="More traffic than usual fills the cache",
                subject=CART,
                score=0.21,
                supporting=("E02",),
                contradicting=("E05",),
                check="Compare the request rate with the same hour of last week.",
            ),
            Hypothesis(id="H3", cause="The node is short of memory", subject=CART, score=0.06, supporting=(), contradicting=("E06",)),
            Hypothesis(
                id="H4",
                cause="The database answers slowly and requests pile up",
                subject=CART,
                score=0.05,
                supporting=(),
                contradicting=(),
                check="Read the slow query log of cart-db.",
            ),
        ),
        recommendations=(
            Recommendation(
                id="A1",
                horizon=Horizon.IMMEDIATE,
                text="Roll cart back to 2.4.0. It is reversible, and 2.4.0 ran for 19 days.",
                command="kubectl --namespace shop rollout undo deployment/cart",
                language="bash",
                evidence_ids=("E04",),
            ),
            Recommendation(
                id="A2",
                horizon=Horizon.SHORT_TERM,
                text="If you cannot roll back, give the container more memory until the cause is known.",
                command="kubectl --namespace shop set resources deployment/cart --containers=cart --limits=memory=512Mi",
                language="bash",
                evidence_ids=("E02",),
            ),
            Recommendation(
                id="A3",
                horizon=Horizon.INVESTIGATION,
                text="Read what the killed container said last.",
                command="kubectl --namespace shop logs cart-7d9c5b6f4-x2lqn --container=cart --previous --tail=200",
                language="bash",
            ),
            Recommendation(
                id="A4",
                horizon=Horizon.LONG_TERM,
                text="Let a load test with the production cart size run before a release.",
            ),
            Recommendation(
                id="A5",
                horizon=Horizon.PREVENTION,
                text="Alert on the working set above 90 % of the limit, so that somebody looks before the kill.",
                command='max by (namespace, pod, container) (container_memory_working_set_bytes{namespace="shop", container="cart"})\n'
                '  / max by (namespace, pod, container) (kube_pod_container_resource_limits{resource="memory"}) > 0.9',
                language="promql",
            ),
        ),
        investigation_queries=(
            InvestigationQuery(
                language="promql",
                text='sum by (pod) (increase(kube_pod_container_status_restarts_total{namespace="shop", container="cart"}[30m]))',
                why="Which pods restart, and how often?",
                returned="3 series: 11, 10 and 9 restarts in 30 min",
            ),
            InvestigationQuery(
                language="logql",
                text='{namespace="shop", container="cart"} |= "OutOfMemory"',
                why="What does the process say before it dies?",
                returned="not run: Loki is not configured",
            ),
        ),
        evidence=cart_evidence(),
        gaps=(
            Gap(
                query=_query("E08", "loki", "logs", '{namespace="shop", container="cart"}', "What did the container log before it was killed?"),
                reason="not_configured",
                detail="No Loki is configured (LOKI_URL), so logs were not read.",
            ),
            Gap(
                query=_query("E09", "prometheus", "value", 'pg_stat_activity_count{service="cart-db"}', "Do database sessions pile up?"),
                reason="timeout",
                detail="Prometheus did not answer within 2 s.",
            ),
        ),
        confidence=Confidence.MEDIUM,
        confidence_reason="kills, limit and rollout fit together; logs were not read, so a leak is not told from a bigger cache",
        author=author,
        author_note="Ollama did not answer in time" if by_rules else "chose among 4 causes; 2 sentences were removed as unsupported",
        timings={"gather": 0.9, "diagnose": 0.1} if by_rules else {"gather": 0.9, "diagnose": 0.1, "analyze": 13.8, "format": 0.1},
        tokens={} if by_rules else {"input": 1874, "output": 243},
        markdown="",
    )
    return replace(analysis, markdown=to_markdown(analysis))


def cart_evidence() -> tuple[Evidence, ...]:
    """Seven answers: facts, one series, three series, a gap in the data, a threshold, nothing found."""
    window = Window(start=TRIGGERED_AT - timedelta(hours=1), end=TRIGGERED_AT, step=timedelta(seconds=30))
    memory = 'container_memory_working_set_bytes{namespace="shop", container="cart"}'
    return (
        _evidence(
            "E01",
            "kubernetes",
            "container_states",
            "pods of Deployment shop/cart",
            "How do the containers end?",
            (
                _fact("last_termination", "cart-7d9c5b6f4-x2lqn: OOMKilled, exit code 137, at 06:39:52, 11 restarts"),
                _fact("last_termination", "cart-7d9c5b6f4-8wz6k: OOMKilled, exit code 137, at 06:39:20, 10 restarts"),
                _fact("last_termination", "cart-7d9c5b6f4-mm4tr: OOMKilled, exit code 137, at 06:38:41, 9 restarts"),
            ),
            "OOMKilled 11 times in 30 min, exit code 137",
        ),
        _evidence(
            "E02",
            "prometheus",
            "threshold",
            memory,
            "How close is the container to its memory limit?",
            (
                *(
                    MetricSeries(labels={"container": "cart", "pod": pod}, points=_sawtooth(window, phase))
                    for pod, phase in (("cart-7d9c5b6f4-x2lqn", 0), ("cart-7d9c5b6f4-8wz6k", 3), ("cart-7d9c5b6f4-mm4tr", 5))
                ),
                _fact("limit", "memory limit 256 MiB", threshold=256 * _MIB),
            ),
            "up to 255 MiB of a limit of 256 MiB, five times the value of yesterday",
            window=window,
            language="promql",
        ),
        _evidence(
            "E03",
            "prometheus",
            "value",
            'sum(rate(http_requests_total{namespace="shop", service="checkout", code=~"5.."}[5m]))\n'
            '  / sum(rate(http_requests_total{namespace="shop", service="checkout"}[5m]))',
            "Do the callers notice?",
            (
                MetricSeries(labels={"service": "checkout"}, points=_error_ratio(window)),
                _fact("threshold", "fires above 5 %", threshold=0.05),
            ),
            "31 % of requests to checkout fail, 0.2 % an hour ago",
            window=window,
            language="promql",
        ),
        _evidence(
            "E04",
            "changes",
            "rollouts",
            "rollouts in namespace shop in the last 24 h",
            "What changed?",
            (_fact("rollout", "06:15:02 shop/cart image shop/cart:2.4.0 → shop/cart:2.4.1 by flux (finished 06:18:10)"),),
            "one rollout: cart 2.4.0 → 2.4.1, three minutes before the first kill",
        ),
        _evidence(
            "E05",
            "prometheus",
            "value",
            'sum(rate(http_requests_total{namespace="shop", service="cart"}[5m]))',
            "Is there more traffic than usual?",
            (MetricSeries(labels={}, points=_traffic(window)),),
            "42 requests/s, as in the hour before; no data from 06:05 to 06:11",
            window=window,
            language="promql",
        ),
        _evidence(
            "E06",
            "prometheus",
            "value",
            'node_memory_MemAvailable_bytes{node="worker-3"} / node_memory_MemTotal_bytes{node="worker-3"}',
            "Is the node short of memory?",
            (MetricSeries(labels={"node": "worker-3"}, points=tuple((at, 0.44) for at in _instants(window))),),
            "44 % of worker-3 is free",
            window=window,
            language="promql",
        ),
        _evidence(
            "E07",
            "history",
            "similar_incidents",
            "incidents of Deployment shop/cart, 90 days",
            "Was it like this before?",
            (),
            "no earlier incident of cart",
        ),
    )


def cart_view(stage: str = "complete") -> IncidentView:
    """The page's view at `received`, `preliminary` or `complete`."""
    times = {"received": 2, "preliminary": 4, "complete": 5}[stage]
    steps = (
        ("received", 0.0, "from Alertmanager, 1 alert"),
        ("grouped", 0.1, "opened INC-118"),
        ("evidence", 1.1, "7 answers, 2 gaps"),
        ("rules' verdict", 1.3, "medium confidence"),
        ("model's verdict", 15.2, "gemma3n:e4b, 13.8 s"),
    )
    return IncidentView(
        incident=cart_incident(),
        timeline=cart_timeline(),
        stage=stage,
        analysis={"received": None, "preliminary": cart_analysis(author=RULES), "complete": cart_analysis()}[stage],
        steps=tuple(
            Step(name=name, at=TRIGGERED_AT + timedelta(seconds=at), detail=detail) if number < times else Step(name=name, at=None)
            for number, (name, at, detail) in enumerate(steps)
        ),
        recurrence="first time in 90 days",
    )


_CASES = (
    ("KubePodCrashLooping: cart in shop restarts again and again", Severity.CRITICAL, IncidentStatus.TRIGGERED, CART, 3,
     "Since image 2.4.1, `cart` needs more memory than its limit of 256 MiB and is killed again and again."),
    ("CheckoutErrorRateHigh: 31 % of requests fail", Severity.WARNING, IncidentStatus.ACKNOWLEDGED, CHECKOUT, 1,
     "Checkout waits for cart, which is down."),
    ("NodeFilesystemAlmostOutOfSpace on worker-3", Severity.WARNING, IncidentStatus.TRIGGERED,
     Subject(kind="Node", name="worker-3", cluster="prod-eu1"), 2, ""),
    ("KubePersistentVolumeFillingUp: data-orders-db-0", Severity.CRITICAL, IncidentStatus.RESOLVED,
     Subject(kind="PersistentVolumeClaim", name="data-orders-db-0", namespace="orders", cluster="prod-eu1"), 1,
     "The write-ahead log grew because the replica was away for six hours."),
    ("CPUThrottlingHigh", Severity.INFO, IncidentStatus.RESOLVED,
     Subject(kind="Pod", name="report-28391-kx9", namespace="batch", cluster="prod-eu1", container="report"), 14,
     "The nightly report asks for more CPU than its limit allows; nobody waits for it."),
    ("PaymentQueueStuck", Severity.UNKNOWN, IncidentStatus.RESOLVED, Subject(kind="Service", name="payments"), 1,
     "The consumer lost its lock after a deploy."),
)  # fmt: skip


def incident_rows(count: int = 6) -> tuple[IncidentRow, ...]:
    """`count` rows, newest first, INC-118 on top."""
    rows = []
    for number in range(count):
        title, severity, status, subject, alert_count, cause = _CASES[number % len(_CASES)]
        triggered_at = TRIGGERED_AT - timedelta(minutes=47 * number)
        rows.append(
            IncidentRow(
                id=118 - number if number < 118 else 10_000 + number,
                title=title,
                severity=severity,
                status=status,
                subject=subject,
                alert_count=alert_count,
                triggered_at=triggered_at,
                resolved_at=triggered_at + timedelta(minutes=31) if status is IncidentStatus.RESOLVED else None,
                stage="complete" if cause else "received",
                author=("" if not cause else RULES if number % 3 == 1 else "gemma3n:e4b"),
                cause=cause,
            )
        )
    return tuple(rows)


def world_view() -> IncidentView:
    """The complete incident, with log patterns, cluster objects, changes and dependencies among its evidence."""
    view = cart_view()
    assert view.analysis is not None
    analysis = replace(view.analysis, evidence=(*view.analysis.evidence, *world_evidence()))
    return replace(view, analysis=replace(analysis, markdown=to_markdown(analysis)))


def world_evidence() -> tuple[Evidence, ...]:
    """What sources of logs, of the cluster and of changes would have found."""
    window = Window(start=TRIGGERED_AT - timedelta(minutes=15), end=TRIGGERED_AT, step=timedelta(minutes=15))
    selector = '{namespace="shop", app="cart"}'
    patterns = (
        _pattern(
            "ERROR cache: cannot allocate <n> entries of <n> bytes", "error", 148, 0, 0, "ERROR cache: cannot allocate 2097152 entries of 64 bytes"
        ),
        _pattern("WARN GC overhead <n> % in pool <text>", "warning", 1_204, 3, 0, 'WARN GC overhead 87 % in pool "old"'),
        _pattern("INFO GET /cart/<id> <n> ms", "info", 9_810, 41_377, 40_218, "INFO GET /cart/c0ffee01 12 ms"),
        _pattern("INFO warm-up finished in <n> s", "info", 0, 12, None, "INFO warm-up finished in 4 s"),
        *(_pattern(f"INFO step {word} done", "info", 40 - number, 39, 41, f"INFO step {word} done") for number, word in enumerate("abcdefgh")),
    )
    pod = KubernetesObject(
        kind="Pod",
        namespace="shop",
        name="cart-7d9c5b6f4-x2lqn",
        manifest={
            "metadata": {"name": "cart-7d9c5b6f4-x2lqn", "labels": {"app": "cart"}},
            "spec": {"nodeName": "worker-3", "containers": [{"name": "cart", "image": "shop/cart:2.4.1"}]},
            "status": {
                "phase": "Running",
                "containerStatuses": [
                    {
                        "name": "cart", "ready": False, "restartCount": 11, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                        "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
                    }
                ],
            },
        },
    )  # fmt: skip
    deployment = KubernetesObject(
        kind="Deployment", namespace="shop", name="cart", manifest={"spec": {"replicas": 3}, "status": {"readyReplicas": 1}}
    )
    node = KubernetesObject(kind="Node", namespace="", name="worker-3", manifest={})
    changes = (
        Change(
            at=TRIGGERED_AT - timedelta(minutes=22), kind="image", subject=CART, text="image of container cart: 2.4.0 → 2.4.1", who="flux",
            diff=("  containers:", "- image: shop/cart:2.4.0", "+ image: shop/cart:2.4.1", "+ env CACHE_ENTRIES=2097152"),
        ),
        Change(at=None, kind="config", subject=CART, text="ConfigMap cart-env has another hash than the one before"),
    )  # fmt: skip
    edges = (Dependency(source="checkout", destination="cart", via="mesh"), Dependency(source="cart", destination="redis", via="service_graph"))
    return (
        _evidence("E08", "loki", "patterns", selector, "what it logs now that it did not log before", patterns, "1 new, 1 vanished of 12 kinds",
                  window=window, language="logql"),
        _evidence("E09", "kubernetes", "pods", "kubectl --namespace shop get pods", "how its pods are", (pod, deployment, node), "1 of 3 pods ready",
                  language="bash"),
        _evidence("E10", "changes", "changes", "changes of the last hour", "what changed before it", changes, "2 changes, the last 22 min before"),
        _evidence("E11", "prometheus", "edges", "sum by (source, destination) (requests)", "who calls whom", edges, "2 edges", language="promql"),
    )  # fmt: skip


def _pattern(template: str, level: str, count: int, before: int | None, day_before: int | None, sample: str) -> LogPattern:
    return LogPattern(
        template=template,
        level=level,
        subject=CART,
        count=count,
        count_before=before,
        first_at=TRIGGERED_AT - timedelta(minutes=12),
        last_at=TRIGGERED_AT - timedelta(seconds=3),
        sample=sample,
        count_day_before=day_before,
    )


def _member(
    number: int,
    name: str,
    severity: str,
    subject: Subject,
    reason: str,
    *,
    labels: dict[str, str],
    annotations: dict[str, str],
    after: timedelta = timedelta(0),
    sightings: int = 1,
) -> MemberAlert:
    labels = {"alertname": name, "severity": severity, "cluster": "prod-eu1", "prometheus": "monitoring/k8s", **labels}
    return MemberAlert(
        id=number,
        fingerprint=fingerprint_of(labels),
        status=AlertStatus.FIRING,
        name=name,
        severity_text=severity,
        labels=labels,
        annotations=annotations,
        generator_url=f"{_PROMETHEUS}/graph?g0.expr=ALERTS&g0.tab=1",
        starts_at=TRIGGERED_AT + after,
        ends_at=None,
        last_seen_at=TRIGGERED_AT + timedelta(minutes=10),
        sightings=sightings,
        reason=reason,
        subject=subject,
    )


def _entry(seconds: float, kind: str, text: str) -> TimelineEntry:
    return TimelineEntry(at=TRIGGERED_AT + timedelta(seconds=seconds), kind=kind, text=text)


def _query(query_id: str, source: str, kind: str, expression: str, purpose: str, language: str = "", window: Window | None = None) -> Query:
    return Query(id=query_id, source=source, kind=kind, expression=expression, purpose=purpose, language=language, window=window)


def _evidence(
    evidence_id: str,
    source: str,
    kind: str,
    expression: str,
    purpose: str,
    data: tuple[Data, ...],
    summary: str,
    *,
    window: Window | None = None,
    language: str = "",
) -> Evidence:
    return Evidence(
        id=evidence_id,
        query=_query(evidence_id, source, kind, expression, purpose, language, window),
        subject=CART,
        data=data,
        summary=summary,
        collected_at=TRIGGERED_AT + timedelta(seconds=1),
        took=timedelta(milliseconds=184),
        url=f"{_PROMETHEUS}/graph?g0.expr=up&g0.range_input=1h" if source == "prometheus" else "",
    )


def _fact(name: str, text: str, **values: float) -> Fact:
    return Fact(name=name, text=text, values=values)


def _instants(window: Window) -> list[float]:
    count = int((window.end - window.start) / window.step)
    return [(window.start + window.step * number).timestamp() for number in range(count + 1)]


def _sawtooth(window: Window, phase: int) -> tuple[tuple[float, float], ...]:
    """Flat until the rollout, then up to the limit and down again."""
    rollout = len(_instants(window)) * 5 // 8
    return tuple(
        (at, (49 + phase + number % 3 if number < rollout else 118 + 137 * ((number + phase * 2) % 7) / 6) * _MIB)
        for number, at in enumerate(_instants(window))
    )


def _error_ratio(window: Window) -> tuple[tuple[float, float], ...]:
    instants = _instants(window)
    return tuple(
        (at, 0.002 if number < len(instants) - 14 else min(0.31, 0.04 * (number - len(instants) + 15))) for number, at in enumerate(instants)
    )


def _traffic(window: Window) -> tuple[tuple[float, float], ...]:
    return tuple((at, 42 + 3 * ((number * 7) % 5 - 2)) for number, at in enumerate(_instants(window)) if not 50 <= number < 62)
