"""One API server, and all the ways in which it can be unreachable, unwilling or something else."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent_sre.evidence.kubernetes.client import KubernetesClient, KubernetesSettings, NotFound, in_cluster
from agent_sre.evidence.kubernetes.resources import RESOURCES
from agent_sre.kit.errors import AgentSREError, BadSetting, Forbidden, RateLimited, Rejected, Unavailable
from fakes.kubernetes import FAULTS, FLUX, FakeKubernetes, a_pod, an_object, write_kubeconfig
from fakes.prometheus import refuse
from fakes.tls import certificate

PODS = RESOURCES["pods"]


@contextlib.asynccontextmanager
async def client_of(fake: FakeKubernetes, folder: Path, **settings: Any) -> AsyncIterator[KubernetesClient]:
    client = KubernetesClient(KubernetesSettings(kubeconfig=settings.pop("kubeconfig", "") or fake.kubeconfig(folder), **settings))
    async with contextlib.aclosing(client):
        yield client


async def test_a_list_comes_in_the_servers_shape_with_kind_and_version(tmp_path: Path) -> None:
    async with FakeKubernetes(objects=[a_pod("cart-0"), a_pod("x", namespace="other")]) as fake, client_of(fake, tmp_path) as client:
        (pod,) = (await client.list(PODS, namespace="shop")).items
        assert (pod["kind"], pod["apiVersion"], pod["metadata"]["name"]) == ("Pod", "v1", "cart-0")
        assert len((await client.list(PODS)).items) == 2
    assert [request.path for request in fake.requests] == ["/api/v1/namespaces/shop/pods", "/api/v1/pods"]
    assert {request.method for request in fake.requests} == {"GET"}
    assert fake.requests[0].headers["user-agent"].startswith("agent-sre/")


async def test_an_empty_list_is_an_answer(tmp_path: Path) -> None:
    async with FakeKubernetes() as fake, client_of(fake, tmp_path) as client:
        listing = await client.list(PODS, namespace="shop")
    assert (listing.items, listing.served, listing.truncated) == ((), True, False)


async def test_pages_are_read_to_the_end_or_to_the_limit(tmp_path: Path) -> None:
    pods = [a_pod(f"cart-{number}") for number in range(25)]
    async with FakeKubernetes(objects=pods, page=10) as fake:
        async with client_of(fake, tmp_path) as client:
            whole = await client.list(PODS, namespace="shop")
        async with client_of(fake, tmp_path, max_objects=15) as client:
            part = await client.list(PODS, namespace="shop")
    assert (len(whole.items), whole.truncated) == (25, False)
    assert (len(part.items), part.truncated) == (15, True)


async def test_a_server_that_always_has_another_page_is_left(tmp_path: Path) -> None:
    async with FakeKubernetes(faults={"pods": "endless-pages"}) as fake, client_of(fake, tmp_path, max_objects=50) as client:
        listing = await client.list(PODS, namespace="shop")
    assert (len(listing.items), listing.truncated) == (10, True)
    assert len(fake.requests) == 10


async def test_pages_that_grow_too_large_are_a_part_and_not_nothing(tmp_path: Path) -> None:
    pods = [a_pod(f"cart-{number}") for number in range(30)]
    async with FakeKubernetes(objects=pods, page=10) as fake, client_of(fake, tmp_path, max_body_bytes=15_000) as client:
        listing = await client.list(PODS, namespace="shop")
    assert listing.truncated
    assert 0 < len(listing.items) < 30


async def test_field_selectors_are_sent(tmp_path: Path) -> None:
    async with FakeKubernetes(objects=[a_pod("a", node="n1"), a_pod("b", node="n2")]) as fake, client_of(fake, tmp_path) as client:
        (pod,) = (await client.list(PODS, fields="spec.nodeName=n2")).items
    assert pod["metadata"]["name"] == "b"


async def test_a_kind_that_is_not_installed_is_an_answer(tmp_path: Path) -> None:
    async with FakeKubernetes() as fake, client_of(fake, tmp_path) as client:
        listing = await client.list(RESOURCES["helmreleases"])
        assert (listing.items, listing.served) == ((), False)
        assert [request.path.split("/")[3] for request in fake.requests] == ["v2", "v2beta2"]
        fake.groups = {}
        with pytest.raises(NotFound, match="is KUBECONFIG about a Kubernetes API server"):
            await client.list(PODS)


async def test_an_older_version_of_a_kind_is_read_where_the_newer_is_not_there(tmp_path: Path) -> None:
    release = an_object("HelmRelease", "cart")
    async with FakeKubernetes(objects=[release], groups=FLUX | {"helm.toolkit.fluxcd.io": "v2beta2"}) as fake, client_of(fake, tmp_path) as client:
        (found,) = (await client.list(RESOURCES["helmreleases"])).items
    assert found["apiVersion"] == "helm.toolkit.fluxcd.io/v2beta2"


async def test_what_is_forbidden_is_named_with_the_rule_that_would_allow_it(tmp_path: Path) -> None:
    async with FakeKubernetes(faults={"deployments": "403", "log": "403"}) as fake, client_of(fake, tmp_path) as client:
        with pytest.raises(Forbidden) as deployments:
            await client.list(RESOURCES["deployments"], namespace="shop")
        with pytest.raises(Forbidden) as log:
            await client.log("shop", "cart-0", "cart")
    assert "does not let us list deployments.apps in namespace shop (403)" in str(deployments.value)
    assert str(deployments.value).endswith('{apiGroups: ["apps"], resources: [deployments], verbs: [list]}')
    assert str(log.value).endswith('{apiGroups: [""], resources: [pods/log], verbs: [get]}')


EXPECTED = {
    "400": Rejected, "401": Forbidden, "403": Forbidden, "404": NotFound, "404-html": NotFound, "409": Rejected, "410": Rejected, "429": RateLimited,
    "redirect": Rejected, "huge": Rejected, "huge-length": Rejected, "bomb": Rejected, "endless-pages": None,
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_is_one_of_our_errors_and_shows_no_token(fault: str, tmp_path: Path) -> None:
    patience = timedelta(seconds=0.3 if fault in ("hang", "slow") else 3)
    async with FakeKubernetes(faults={"*": fault}) as fake, client_of(fake, tmp_path, timeout=patience, max_body_bytes=1 << 20) as client:
        errors = [await caught(client.list(PODS, namespace="shop")), await caught(client.version()), await caught(client.log("a", "b", "c"))]
        health = await client.check(timedelta(seconds=3))
    wanted = EXPECTED.get(fault, Unavailable)
    if wanted is not None:
        assert isinstance(errors[0], wanted), errors[0]
    assert errors[1] is not None
    assert health.state == "error"
    for text in [str(error) for error in errors if error] + [health.reason]:
        assert fake.token not in text
        assert "\n" not in text
        assert len(text) < 700
    reasons = {
        "hang": "timeout", "slow": "timeout", "504": "timeout", "redirect": "redirect", "huge": "too_large",
        "huge-length": "too_large", "bomb": "too_large", "truncated-gzip": "garbage", "garbage": "garbage", "401": "forbidden", "tls": "unavailable",
    }  # fmt: skip
    assert errors[0] is None or errors[0].reason == reasons.get(fault, errors[0].reason)


async def caught(call: Any) -> AgentSREError | None:
    try:
        await call
    except AgentSREError as error:
        return error
    return None


async def test_too_many_requests_come_with_the_servers_patience(tmp_path: Path) -> None:
    async with FakeKubernetes(faults={"*": "429"}) as fake, client_of(fake, tmp_path) as client:
        with pytest.raises(RateLimited) as error:
            await client.list(PODS)
    assert error.value.retry_after == timedelta(seconds=7)


async def test_nobody_listening_is_said(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "k", refuse(), {"token": "t"})
    async with contextlib.aclosing(KubernetesClient(KubernetesSettings(kubeconfig=path))) as client:
        with pytest.raises(Unavailable, match="cannot be reached"):
            await client.list(PODS)


# TLS


async def test_tls_is_checked_against_the_authority_of_the_kubeconfig(tmp_path: Path) -> None:
    authority, context = certificate(tmp_path)
    async with FakeKubernetes(objects=[a_pod("a")], tls=context) as fake:
        known = write_kubeconfig(tmp_path / "known", fake.url, {"token": fake.token}, **{"certificate-authority": authority.name})
        async with client_of(fake, tmp_path, kubeconfig=known) as client:
            assert len((await client.list(PODS)).items) == 1
        async with client_of(fake, tmp_path) as client:
            with pytest.raises(Unavailable, match=r"cannot be reached: .*certificate verify failed"):
                await client.list(PODS)


async def test_a_server_without_tls_where_tls_is_expected_is_said(tmp_path: Path) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server:
        path = write_kubeconfig(tmp_path / "k", f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", {"token": "t"})
        async with contextlib.aclosing(KubernetesClient(KubernetesSettings(kubeconfig=path))) as client:
            with pytest.raises(Unavailable, match="cannot be reached"):
                await client.list(PODS)


# Logs


async def test_logs_are_bounded_and_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    text = "".join(f"2026-11-23T06:40:11.{number:09d}Z line {number}\n" for number in range(1000))
    async with FakeKubernetes(logs={("shop", "cart-0", "cart", False): text}) as fake, client_of(fake, tmp_path, log_lines=10) as client:
        found = await client.log("shop", "cart-0", "cart")
        assert await client.log("shop", "cart-0", "cart", previous=True) == ""
        fake.faults["log"] = "404"
        assert await client.log("shop", "gone", "cart") == ""
    assert found.splitlines()[0].endswith("line 990")
    assert len(found.splitlines()) == 10


@pytest.mark.parametrize("name", ["..", ".", ""])
async def test_no_name_leaves_its_place_in_the_path(name: str, tmp_path: Path) -> None:
    async with FakeKubernetes() as fake, client_of(fake, tmp_path) as client:
        with pytest.raises(Rejected):
            await client.log("shop", name, "cart")
        await client.log("shop", "a/../../secrets", "c")
    assert fake.requests[0].path == "/api/v1/namespaces/shop/pods/a/../../secrets/log"  # quoted on the wire; the fake shows it unquoted


# Kubeconfigs


BAD_KUBECONFIGS = {
    "missing": (None, "cannot read"),
    "not-yaml": ("a: [\n token: s3cr3t", "is not YAML"),
    "binary": (b"\xff\xfe\x00", "is not YAML"),
    "text": ("hello", "is not a kubeconfig"),
    "empty": ("", "is not a kubeconfig"),
    "list": ("[1, 2]", "is not a kubeconfig"),
    "wrong-types": ("clusters: {a: 1}\ncontexts: 7", "is not a kubeconfig"),
    "numbers": ("clusters: [{name: c, cluster: {server: 7}}]\ncontexts: []", "is not a kubeconfig"),
    "no-context": ("clusters: []\ncontexts: []", "context"),
    "dangling": ("clusters: []\ncontexts: [{name: a, context: {cluster: x}}]\ncurrent-context: a", "is missing"),
}


@pytest.mark.parametrize("case", BAD_KUBECONFIGS)
async def test_a_kubeconfig_that_cannot_be_used_is_named_and_not_quoted(case: str, tmp_path: Path) -> None:
    content, words = BAD_KUBECONFIGS[case]
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    client = KubernetesClient(KubernetesSettings(kubeconfig=str(path)))
    with pytest.raises(BadSetting, match=words) as error:
        await client.version()
    assert "KUBECONFIG" in str(error.value)
    assert "s3cr3t" not in str(error.value)
    assert (await client.check(timedelta(seconds=3))).state == "error"


async def test_no_program_of_a_kubeconfig_is_run(tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    program = {"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "touch", "args": [str(trap)]}}
    for user in (program, {"auth-provider": {"name": "gcp", "config": {"cmd-path": "touch"}}}):
        path = write_kubeconfig(tmp_path / "k", "https://127.0.0.1:1", user)
        with pytest.raises(BadSetting, match=r"from a program .*, and we run none"):
            await KubernetesClient(KubernetesSettings(kubeconfig=path)).version()
    async with FakeKubernetes() as fake, client_of(fake, tmp_path, kubeconfig=fake.kubeconfig(tmp_path, token=fake.token, **program)) as client:
        assert await client.version() == "v1.31.2"
    assert not trap.exists()


async def test_the_context_of_the_settings_wins(tmp_path: Path) -> None:
    async with FakeKubernetes() as fake:
        async with client_of(fake, tmp_path, context="here") as client:
            assert await client.version() == "v1.31.2"
        async with client_of(fake, tmp_path, context="prod") as client:
            with pytest.raises(BadSetting, match=r'context "prod" cannot be used.* one of: "here"'):
                await client.version()


async def test_a_token_file_beside_the_kubeconfig_is_read_again_when_it_is_renewed(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("old")
    async with FakeKubernetes(token="new") as fake, client_of(fake, tmp_path, kubeconfig=fake.kubeconfig(tmp_path, tokenFile="token")) as client:
        with pytest.raises(Forbidden):
            await client.list(PODS)
        (tmp_path / "token").write_text("new\n")
        await client.list(PODS)
        (tmp_path / "token").unlink()
        fake.token = "newer"
        with pytest.raises(BadSetting, match="token"):
            await client.list(PODS)


@pytest.mark.parametrize("server", ["", "ftp://x", "not an address", "https://", "https://host:0", "https://[::1"])
async def test_a_server_that_is_no_address_is_named(server: str, tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "k", server, {"token": "t"})
    with pytest.raises(BadSetting, match="is not an address"):
        await KubernetesClient(KubernetesSettings(kubeconfig=path)).version()


async def test_certificates_that_are_not_there_are_said(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "k", "https://127.0.0.1:1", {"token": "t"}, **{"certificate-authority": "gone.crt"})
    with pytest.raises(BadSetting, match="certificates of context"):
        await KubernetesClient(KubernetesSettings(kubeconfig=path)).version()
    path = write_kubeconfig(tmp_path / "k", "https://127.0.0.1:1", {"client-certificate-data": "%%%", "client-key-data": "%%%"})
    with pytest.raises(BadSetting, match="certificates of context"):
        await KubernetesClient(KubernetesSettings(kubeconfig=path)).version()


# In a pod


async def test_a_pod_with_a_service_account_needs_no_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, context = certificate(tmp_path)
    async with FakeKubernetes(tls=context) as fake:
        (tmp_path / "ca.crt").write_bytes(authority.read_bytes())
        (tmp_path / "namespace").write_text("agent-sre")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", fake.url.rpartition(":")[2])
        assert not in_cluster(tmp_path)  # automountServiceAccountToken: false
        (tmp_path / "token").write_text(fake.token)
        assert in_cluster(tmp_path)
        async with contextlib.aclosing(KubernetesClient(KubernetesSettings(), service_account=tmp_path)) as client:
            assert await client.version() == "v1.31.2"


async def test_without_kubeconfig_and_pod_it_is_off(tmp_path: Path) -> None:
    with pytest.raises(BadSetting) as error:
        await KubernetesClient(KubernetesSettings(), service_account=tmp_path).version()
    assert error.value.reason == "not_configured"


def test_settings_that_allow_nothing_are_refused() -> None:
    for bad in ({"timeout": timedelta(0)}, {"max_objects": 0}, {"log_lines": 0}):
        with pytest.raises(BadSetting, match="AGENT_SRE_KUBERNETES_"):
            KubernetesClient(KubernetesSettings(**bad))


def test_the_service_can_be_loaded_without_lightkube() -> None:
    code = "import sys, agent_sre.app; sys.exit(any(name in sys.modules for name in ('lightkube', 'msgspec', 'httpx2')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
