"""Two pod templates side by side, as lines that people read."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent_sre.evidence.template_diff import MAX_LINES, changed_settings, template_diff


def template(*containers: dict[str, Any], metadata: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": metadata or {}, "spec": {"containers": list(containers), **spec}}


def cart(**more: Any) -> dict[str, Any]:
    return {"name": "cart", "image": "shop/cart:1.4", **more}


def test_equal_templates_differ_in_nothing() -> None:
    assert template_diff(template(cart()), template(cart())) == ()


def test_an_image_stands_first_and_old_above_new() -> None:
    before = template(cart(env=[{"name": "A", "value": "1"}]))
    after = template(cart(image="shop/cart:1.5", env=[{"name": "A", "value": "2"}]))
    assert template_diff(before, after) == ("- cart image: shop/cart:1.4", "+ cart image: shop/cart:1.5", "- cart env A: 1", "+ cart env A: 2")


def test_a_new_variable_is_one_line_wherever_it_stands() -> None:
    before = template(cart(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]))
    after = template(cart(env=[{"name": "NEW", "value": ""}, {"name": "B", "value": "2"}, {"name": "A", "value": "1"}]))
    assert template_diff(before, after) == ('+ cart env NEW: ""',)


def test_references_are_named_and_values_of_secrets_are_not() -> None:
    before = template(cart(env=[{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "DSN", "value": "postgres://u:hunter2@db/x"}]))
    after = template(
        cart(
            args=["--api-token", "hunter2", "--password=hunter2", "--level=debug"],
            env=[
                {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
                {"name": "DSN", "value": "postgres://u:hunter3@db/y"},
                {"name": "LIMIT", "valueFrom": {"configMapKeyRef": {"name": "cart", "key": "limit"}}},
                {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            ],
        )
    )
    lines = template_diff(before, after)
    assert lines == (
        "+ cart args: --api-token <secret> --password=<secret> --level=debug",
        "- cart env DB_PASSWORD: <secret>", "+ cart env DB_PASSWORD: from Secret db password",
        "+ cart env IP: from the pod's status.podIP", "+ cart env LIMIT: from ConfigMap cart limit",
    )  # fmt: skip
    assert "hunter" not in "\n".join(lines)


def test_limits_probes_ports_mounts_and_placement_are_settings_of_their_own() -> None:
    before = template(
        cart(
            resources={"limits": {"memory": "512Mi", "cpu": "1"}},
            livenessProbe={"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 10},
            ports=[{"name": "http", "containerPort": 8080}],
            volumeMounts=[{"name": "data", "mountPath": "/data"}, {"name": "kube-api-access-abcde", "mountPath": "/var/run/x"}],
        ),
        nodeSelector={"disk": "ssd"},
        volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "cart"}}, {"name": "kube-api-access-abcde", "projected": {}}],
    )
    after = template(
        cart(
            resources={"limits": {"memory": "256Mi", "cpu": "1"}},
            livenessProbe={"httpGet": {"path": "/health", "port": 8081}, "periodSeconds": 10},
            ports=[{"name": "http", "containerPort": 8081}],
            volumeMounts=[{"name": "data", "mountPath": "/data", "readOnly": True}],
        ),
        nodeSelector={"disk": "nvme"},
        tolerations=[{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "cart-2"}}],
    )
    assert template_diff(before, after) == (
        "- cart resources limits memory: 512Mi", "+ cart resources limits memory: 256Mi",
        "- cart ports http containerPort: 8080", "+ cart ports http containerPort: 8081",
        "- cart livenessProbe httpGet port: 8080", "+ cart livenessProbe httpGet port: 8081",
        "- cart mount /data: data", "+ cart mount /data: data (read only)",
        "- nodeSelector disk: ssd", "+ nodeSelector disk: nvme",
        "+ tolerations gpu effect: NoSchedule", "+ tolerations gpu key: gpu", "+ tolerations gpu operator: Exists",
        "- volumes data persistentVolumeClaim claimName: cart", "+ volumes data persistentVolumeClaim claimName: cart-2",
    )  # fmt: skip


def test_a_container_that_is_gone_and_one_that_is_new() -> None:
    lines = template_diff(template(cart(), {"name": "proxy", "image": "envoy:1"}), template(cart(), {"name": "agent", "image": "agent:2"}))
    assert lines == ("+ agent image: agent:2", "- proxy image: envoy:1")
    assert changed_settings(lines) == ("agent image", "proxy image")


def test_what_controllers_add_is_no_difference() -> None:
    before = template(cart(), metadata={"labels": {"app": "cart", "pod-template-hash": "aaa"}})
    after = template(cart(), metadata={"labels": {"app": "cart", "pod-template-hash": "bbb"}}, nodeName="worker-1", hostname="cart-0")
    assert template_diff(before, after) == ()


def test_a_long_difference_says_how_much_is_left_out() -> None:
    after = template(cart(env=[{"name": f"V{number:03d}", "value": "x" * 999} for number in range(300)]))
    lines = template_diff(template(cart()), after)
    assert len(lines) == MAX_LINES
    assert lines[-1] == "+ …(261 lines more)"
    assert all(len(line) < 500 for line in lines)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["spec", "containers", "name", "env", "value", "valueFrom", "args", "volumes", "volumeMounts", "metadata", "labels", "ports"]
            )
            | st.text(max_size=4),
            inner,
            max_size=5,
        )
    ),
    max_leaves=40,
)


@given(before=json_values, after=json_values)
def test_any_two_shapes_can_be_compared(before: Any, after: Any) -> None:
    lines = template_diff({"spec": before}, {"spec": after, "metadata": before})
    assert len(lines) <= MAX_LINES
    assert all(line[:2] in ("- ", "+ ") and "\n" not in line for line in lines)
    assert template_diff(after, after) == ()
