"""One cluster's API server: read-only, bounded in time and size, every failure one of our errors.

lightkube reads the kubeconfig or the pod's service account and opens the door: TLS, client certificates, tokens that are renewed. The requests
are our own, for two reasons. Its typed lists are read whole before anybody can say "too large", and they know only the fields of one version
of Kubernetes; evidence wants the manifest as the server has it.

Only GET is ever sent. No redirect is followed, no proxy of the environment used, and no program of a kubeconfig (`exec`) is run: a file that
somebody handed over must not choose what this process executes.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import orjson

from agent_sre.evidence.evidence import SourceHealth
from agent_sre.evidence.kubernetes.resources import Resource, rule_for
from agent_sre.kit.errors import AgentSREError, BadSetting, Forbidden, RateLimited, Rejected, Unavailable
from agent_sre.kit.http import USER_AGENT
from agent_sre.kit.redact import redact
from agent_sre.kit.text import one_line

if TYPE_CHECKING:
    import httpx2
    from lightkube.config.kubeconfig import KubeConfig, SingleConfig

NAME = "kubernetes"
SETTING = "KUBECONFIG"
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

PAGE = 500
_MAX_PAGES = 10
"""However short the server makes its pages: ours are bounded in objects, and its requests must be as well."""

_BIG = 128 * 1024
"""Bodies from this size on are parsed in a thread: a megabyte takes some ten milliseconds, in which nobody else is served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesSettings:
    """Which cluster to look at. In a pod with a service account nothing needs to be set."""

    kubeconfig: str = ""
    """Path of one kubeconfig file with a token, a client certificate or a user and password. Its `exec` and `auth-provider` programs are never
    run. Default: empty, which means the service account of the pod; where there is none, the source is off. `~/.kube/config` is not looked
    for: it is an administrator's, and nobody asked for it to be used here."""

    context: str = ""
    """Which context of the kubeconfig. Default: empty, which means its `current-context`."""

    timeout: timedelta = timedelta(seconds=5)
    """How long one call may take, body included. 5 s: `gather` stops waiting long before."""

    max_body_bytes: int = 16 * 1024 * 1024
    """Answers larger than this are not read to their end. 16 MiB: about 2,000 pods."""

    max_objects: int = 2_000
    """Lists are read to this length, in pages of 500; the evidence then says that there was more. 2,000: more than a namespace should have."""

    log_lines: int = 300
    """How many of the last lines of a container's log are read. 300: a stack trace and what led to it."""

    log_bytes: int = 256 * 1024
    """How much of those lines is read at most; the server cuts at the end, so that very long lines cost the newest ones. 256 KiB: 300 lines of
    nearly a kilobyte."""


class NotFound(Rejected):
    """The API server knows no such path: the kind is not installed, or the object is gone."""

    reason = "not_found"


class TooLarge(Rejected):
    """The answer is larger than we read."""

    reason = "too_large"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The objects of a list as the server sent them, with kind and apiVersion filled in."""

    items: tuple[dict[str, Any], ...]
    truncated: bool = False
    served: bool = True  # False: this cluster does not have the kind


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    secrets: tuple[str, ...]


class KubernetesClient:
    """A client for the one cluster of the settings.

    Every method raises AgentSREError only: Unavailable (`reason` "unavailable", "timeout", or "garbage" where the answer is not the API's),
    Rejected ("redirect", "too_large", "not_found"), Forbidden (401, and 403 with the rule that would allow it), RateLimited (429), BadSetting
    where the kubeconfig cannot be used. No message contains a credential. Nothing is read or loaded before the first call.
    """

    def __init__(self, settings: KubernetesSettings, *, service_account: Path = SERVICE_ACCOUNT) -> None:
        positive = (settings.max_body_bytes, settings.max_objects, settings.log_lines, settings.log_bytes)
        if settings.timeout <= timedelta(0) or min(positive) <= 0:
            raise BadSetting("AGENT_SRE_KUBERNETES_ settings for time and size must be more than nothing.")
        self.settings = settings
        self._service_account = service_account
        self._http: httpx2.AsyncClient | None = None
        self._opening = asyncio.Lock()
        self._server = ""

    async def aclose(self) -> None:
        """Closes the connections. Safe to call twice."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def list(self, resource: Resource, *, namespace: str = "", fields: str = "") -> Listing:
        """All objects of a kind in a namespace; of all namespaces where none is given. Kinds that the cluster does not have are an answer."""
        for version in resource.versions:
            try:
                return await self._list(resource, version, namespace, fields)
            except NotFound:
                if not resource.optional:
                    raise
        return Listing(items=(), served=False)

    async def _list(self, resource: Resource, version: str, namespace: str, fields: str) -> Listing:
        path = _path(resource, version, namespace)
        limit = self.settings.max_objects
        found: list[dict[str, Any]] = []
        size = 0
        token = ""
        ends_at = asyncio.get_running_loop().time() + self.settings.timeout.total_seconds()
        for _ in range(_MAX_PAGES):
            query = {"limit": str(min(PAGE, limit))} | ({"fieldSelector": fields} if fields else {}) | ({"continue": token} if token else {})
            try:
                answer = await self._get(path, query, self.settings.max_body_bytes - size)
            except TooLarge:
                if not found:
                    raise
                return Listing(items=tuple(found), truncated=True)
            if answer.status == 410 and found:  # the pages' common moment has expired: what we have is a part
                return Listing(items=tuple(found), truncated=True)
            self._refuse(answer, path, verb="list", group=resource.group, plural=resource.plural, namespace=namespace)
            size += len(answer.body)
            items, token = _items(await _parsed(answer.body), resource, version)
            found += items
            if not token or len(found) >= limit or size >= self.settings.max_body_bytes or asyncio.get_running_loop().time() > ends_at:
                break
        return Listing(items=tuple(found[:limit]), truncated=bool(token) or len(found) > limit)

    async def log(self, namespace: str, pod: str, container: str, *, previous: bool = False) -> str:
        """The last lines of a container's log, each behind its timestamp. Empty where there is none: not started yet, or never restarted."""
        path = f"api/v1/namespaces/{_part(namespace)}/pods/{_part(pod)}/log"
        query = {"container": container, "timestamps": "true", "tailLines": str(self.settings.log_lines), "limitBytes": str(self.settings.log_bytes)}
        if previous:
            query["previous"] = "true"
        answer = await self._get(path, query, self.settings.log_bytes + 4096)
        # 400: "container is waiting to start", "previous terminated container not found". 404: the pod is gone.
        if answer.status in (400, 404):
            return ""
        self._refuse(answer, path, verb="get", group="", plural="pods/log", namespace=namespace)
        return answer.body.decode(errors="replace")

    async def version(self) -> str:
        """What the server calls its version: `"v1.31.2"`."""
        answer = await self._get("version", {}, 64 * 1024)
        self._refuse(answer, "version", verb="get", group="", plural="version", namespace="")
        document = await _parsed(answer.body)
        version = document.get("gitVersion") if isinstance(document, dict) else None
        if not isinstance(version, str) or not version:
            raise _garbage("a version")
        return one_line(version, 40)

    async def check(self, timeout: timedelta) -> SourceHealth:  # noqa: ASYNC109  (the bound is the caller's, as in LanguageModel.check)
        """Asks the version now, with our credentials, so that a wrong token shows. Never raises."""
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                return SourceHealth(name=NAME, state="ok", reason=f"Kubernetes {await self.version()} at {self._server} answers")
        except TimeoutError:
            at = f" at {self._server}" if self._server else ""
            return SourceHealth(name=NAME, state="error", reason=f"Kubernetes{at} did not answer within {timeout.total_seconds():g} s")
        except AgentSREError as error:
            return SourceHealth(name=NAME, state="error", reason=str(error))

    # The wire

    async def _client(self) -> httpx2.AsyncClient:
        async with self._opening:
            if self._http is None:
                # In a thread: lightkube takes a third of a second to load, and certificates are read from files.
                client, self._server = await asyncio.to_thread(_open, self.settings, self._service_account)
                self._http = client
            return self._http

    async def _get(self, path: str, query: dict[str, str], limit: int) -> _Answer:
        client = await self._client()
        import httpx2
        from lightkube.core.exceptions import ConfigError

        try:
            # The client's own time-outs begin anew with every byte that drips in; this one does not.
            async with asyncio.timeout(self.settings.timeout.total_seconds()), client.stream("GET", path, params=query) as response:
                body = bytearray()
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > limit:
                        raise TooLarge(f"Kubernetes' answer to {_shown(path)} is larger than {limit // 1024} KiB; it was not read.")
                return _Answer(status=response.status_code, headers=response.headers, body=bytes(body), secrets=_secrets(response.request))
        except (TimeoutError, httpx2.TimeoutException) as error:
            words = f"did not answer {_shown(path)} within {self.settings.timeout.total_seconds():g} s"
            raise Unavailable(f"Kubernetes at {self._server} {words}.", reason="timeout") from error
        except httpx2.DecodingError as error:
            words = f"answered {_shown(path)} with a body that cannot be unpacked"
            raise Unavailable(f"Kubernetes at {self._server} {words}.", reason="garbage") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            words = one_line(redact(str(error)), 200).rstrip(".") or type(error).__name__
            raise Unavailable(f"Kubernetes at {self._server} cannot be reached: {words}.") from error
        except (ConfigError, OSError, UnicodeDecodeError) as error:  # the token's file, which is read again when it has been renewed
            raise BadSetting("The file with the token for Kubernetes cannot be read.") from error

    def _refuse(self, answer: _Answer, path: str, *, verb: str, group: str, plural: str, namespace: str) -> None:
        """Nothing where the answer is a good one, else the error that it means."""
        status = answer.status
        if 200 <= status < 300:
            return
        words = _words(answer)
        what = f"{verb} {plural}{f'.{group}' if group else ''}{f' in namespace {namespace}' if namespace else ''}"
        if status == 401:
            raise Forbidden(f"Kubernetes at {self._server} does not know us (401){words}; check the token or certificate.")
        if status == 403:
            raise Forbidden(f"Kubernetes does not let us {what} (403){words}. This rule would allow it: {rule_for(group, plural, verb)}")
        if status == 404:
            raise NotFound(f"Kubernetes at {self._server} has no {_shown(path)} (404){words}; is {SETTING} about a Kubernetes API server?")
        if status == 429:
            raise RateLimited(f"Kubernetes at {self._server} wants fewer requests{words}.", retry_after=_retry_after(answer.headers))
        if 300 <= status < 400:
            raise Rejected(f"Kubernetes at {self._server} redirects ({status}), which we do not follow; name the final address.", reason="redirect")
        if 400 <= status < 500:
            raise Rejected(f"Kubernetes refused to {what} ({status}){words}.")
        reason = "timeout" if status == 504 else None
        raise Unavailable(f"Kubernetes at {self._server} answered {_shown(path)} with {status}{words}.", reason=reason)


def in_cluster(service_account: Path = SERVICE_ACCOUNT, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process is in a pod that may talk to its API server."""
    return bool(environment.get("KUBERNETES_SERVICE_HOST")) and (service_account / "token").is_file()


# Opening


def _open(settings: KubernetesSettings, service_account: Path) -> tuple[httpx2.AsyncClient, str]:
    """The HTTP client of lightkube for this configuration, and the server's address. Raises BadSetting with what to do."""
    import httpx2
    from lightkube.config.client_adapter import ConnectionParams
    from lightkube.core.exceptions import ConfigError

    config = _config(settings, service_account)
    server = _address(config.cluster.server)
    try:
        params = ConnectionParams(timeout=httpx2.Timeout(settings.timeout.total_seconds()), trust_env=False).httpx_params(config)
        client = httpx2.AsyncClient(
            **params,
            follow_redirects=False,
            headers={"User-Agent": USER_AGENT, "Accept": "application/json"},
            limits=httpx2.Limits(max_connections=10, max_keepalive_connections=10),
        )
    except (ConfigError, OSError, ValueError, TypeError) as error:  # ssl.SSLError is an OSError, bad base64 a ValueError
        raise BadSetting(
            f"{SETTING}: the certificates of context {_name(config.context_name)} cannot be used ({type(error).__name__}); "
            "check that its files exist and belong together."
        ) from error
    return client, server


def _config(settings: KubernetesSettings, service_account: Path) -> SingleConfig:
    from lightkube.config.kubeconfig import KubeConfig
    from lightkube.config.models import User
    from lightkube.core.exceptions import ConfigError

    if not settings.kubeconfig:
        if not in_cluster(service_account):
            raise BadSetting(f"{SETTING} is not set, and there is no service account of a pod.", reason="not_configured")
        try:
            found = KubeConfig.from_service_account(service_account).get()
        except (ConfigError, OSError, UnicodeDecodeError, KeyError) as error:
            raise BadSetting(f"The service account in {service_account} cannot be read; is automountServiceAccountToken true?") from error
    else:
        kubeconfig = _read(Path(settings.kubeconfig).expanduser())
        try:
            found = kubeconfig.get(settings.context or None)
        except (ConfigError, KeyError) as error:
            wanted = _name(settings.context or kubeconfig.current_context or "")
            known = ", ".join(_name(name) for name in kubeconfig.contexts) or "none"
            raise BadSetting(
                f"{SETTING}: context {wanted} cannot be used: it, its cluster or its user is missing. "
                f"Set AGENT_SRE_KUBERNETES_CONTEXT to one of: {known}."
            ) from error
    if found is None:
        raise BadSetting(f"{SETTING} names no current context; set AGENT_SRE_KUBERNETES_CONTEXT.")
    user = found.user or User()
    if (user.exec or user.auth_provider) and not (user.token or user.token_file or user.client_cert or user.client_cert_data):
        raise BadSetting(
            f"{SETTING}: the user of context {_name(found.context_name)} gets its credentials from a program (exec or auth-provider), "
            "and we run none. Make a service account and put its token into a kubeconfig (docs/how-to/kubernetes.md)."
        )
    user.exec = user.auth_provider = None  # lightkube must not have them even by mistake
    if user.token_file:
        user.token_file = str(found.abs_file(user.token_file))
    return found._replace(user=user)


def _read(path: Path) -> KubeConfig:
    """The kubeconfig in a file. No message repeats any of it: it holds keys."""
    import msgspec
    import yaml
    from lightkube.config.kubeconfig import KubeConfig

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        hint = " Name one file, not a list." if os.pathsep in str(path) else ""
        raise BadSetting(f"{SETTING}: cannot read {path}: {error.strerror}.{hint}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadSetting(f"{SETTING}: {path} is not YAML.") from error
    try:
        return KubeConfig.from_dict(document, fname=path)
    except (KeyError, TypeError, AttributeError, ValueError, msgspec.MsgspecError) as error:
        raise BadSetting(f"{SETTING}: {path} is not a kubeconfig; clusters, contexts and users are expected in it.") from error


def _address(server: str) -> str:
    """The server for messages, without credentials. Raises BadSetting where it is no address."""
    try:
        parts = urlsplit(server)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise BadSetting(f"{SETTING}: the server of the cluster is not an address; https://host:6443 is expected.")
    return one_line(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl().rstrip("/"), 200)


# Answers


async def _parsed(body: bytes) -> Any:
    try:
        return await asyncio.to_thread(orjson.loads, body) if len(body) > _BIG else orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _garbage("JSON") from error


def _items(document: Any, resource: Resource, version: str) -> tuple[list[dict[str, Any]], str]:
    """The objects of one page, and the token for the next one. Raises Unavailable ("garbage") where it is no list of the API's."""
    if not isinstance(document, dict) or "items" not in document:
        raise _garbage("a list")
    items = document["items"] or []  # Go writes an empty list as null
    if not isinstance(items, list) or not all(isinstance(item, dict) and _is_named(item) for item in items):
        raise _garbage("a list of objects")
    metadata = document.get("metadata")
    token = metadata.get("continue") if isinstance(metadata, dict) else ""
    # The server leaves kind and version out of a list's items.
    api_version = f"{resource.group}/{version}" if resource.group else version
    return [{**item, "apiVersion": api_version, "kind": resource.kind} for item in items], token if isinstance(token, str) else ""


def _is_named(item: dict[str, Any]) -> bool:
    metadata = item.get("metadata")
    return isinstance(metadata, dict) and isinstance(metadata.get("name"), str) and isinstance(metadata.get("namespace", ""), str)


def _path(resource: Resource, version: str, namespace: str) -> str:
    root = f"apis/{resource.group}/{version}" if resource.group else f"api/{version}"
    inside = f"/namespaces/{_part(namespace)}" if namespace and resource.namespaced else ""
    return f"{root}{inside}/{resource.plural}"


def _part(name: str) -> str:
    """A name as one part of a path. `.` and `..` are the only ones that quoting lets through with a meaning of their own."""
    if name in ("", ".", ".."):
        raise Rejected(f'"{name}" is no name of an object.')
    return quote(name, safe="")


def _shown(path: str) -> str:
    return one_line(f"/{path}", 200)


def _words(answer: _Answer) -> str:
    """The server's own words behind a colon, fit for a message: one line, no secret that we know, none that looks like one."""
    try:
        document = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        document = None
    message = document.get("message") if isinstance(document, dict) else None
    text = message if isinstance(message, str) else ""
    for secret in answer.secrets:
        text = text.replace(secret, "<secret>")
    text = one_line(redact(text), 200).rstrip(".")
    return f": {text}" if text else ""


def _secrets(request: httpx2.Request) -> tuple[str, ...]:
    value = request.headers.get("Authorization", "").partition(" ")[2]
    return (value,) if value else ()


def _name(text: str) -> str:
    return f'"{one_line(text, 80)}"'


def _garbage(wanted: str) -> Unavailable:
    return Unavailable(f"Kubernetes' answer does not have {wanted} where the API has it.", reason="garbage")


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    text = headers.get("Retry-After", "")
    return timedelta(seconds=min(int(text), 86_400)) if text.isascii() and text.isdigit() and len(text) < 10 else None
