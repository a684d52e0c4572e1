"""Databases that turn their clients away, by the words that their clients log: wrong password, wrong port, no connections left, read-only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import KubernetesObject, LogPattern
from agent_sre.evidence.kubernetes import objects as k8s
from agent_sre.finding import wiring
from agent_sre.finding.finding import Finding
from agent_sre.finding.peers import NAME, NO_ANSWER, peer_errors
from agent_sre.finding.weights import STORES
from agent_sre.finding.world import Seen, World
from agent_sre.kit.text import one_line

PORTS: Mapping[int, str] = {
    3306: "mysql", 5432: "postgres", 6379: "redis", 27017: "mongo", 1433: "sqlserver", 1521: "oracle", 9042: "cassandra", 26257: "cockroach",
}  # fmt: skip
_KINDS = re.compile(
    r"mysql|mariadb|percona|postgres|pgbouncer|redis|valkey|mongo|cassandra|mssql|sqlserver|oracle|cockroach|(?:^|[-_/])(?:db|pg)(?:$|[-_:])",
    re.IGNORECASE,
)

_DENIED = re.compile(
    r"access denied for user|password authentication failed for user|\bno pg_hba\.conf entry|WRONGPASS|NOAUTH authentication required"
    r"|invalid username-password pair|invalid password|authentication failed\b.{0,60}(?:mongo|scram)|(?:scram|mongo).{0,80}authentication failed"
    r"|login failed for user|ORA-01017|ERROR 1045|role \"[^\"]{1,60}\" does not exist|28P01|28000.{0,40}(?:role|password)"
    r"|Ident authentication failed|(?:LoginFailed|MongoServerError).{0,40}auth",
    re.IGNORECASE,
)
_REFUSED = re.compile(
    r"communications link failure|could not (?:open|connect|create) .{0,40}(?:jdbc|database|sql)|can.t connect to (?:local )?(?:mysql|mariadb) server"
    r"|ERROR 200[23]|CommunicationsException|connection to (?:server at )?.{0,80}port \d+ (?:failed|refused)"
    r"|could not connect to (?:server|redis|database)|SequelizeConnectionRefusedError"
    r"|(?:mysql|postgres\w*|redis|mongo\w*|sql|jdbc)[^\n]{0,120}(?:ECONNREFUSED|connection refused|connect: connection refused)"
    r"|MongoServerSelectionError|MongoNetworkError|ServerSelectionTimeoutError|OperationalError.{0,40}2003"
    r"|PSQLException: (?:the )?connection to [^\n]{0,80} refused|dial tcp [\d.]+:(?:3306|5432|6379|27017|1433): connect: connection refused",
    re.IGNORECASE,
)
_TOO_MANY = re.compile(
    r"too many connections|too many clients already|remaining connection slots are reserved"
    r"|max(?:imum)?(?: number of)? client(?:s|_conn)? (?:reached|has been reached)|ERROR 1040|more than .?max_user_connections"
    r"|connection limit exceeded for|ORA-00020|ORA-12519|ORA-12516|too many open connections",
    re.IGNORECASE,
)
_READ_ONLY = re.compile(
    r"running with the --(?:super-)?read-only option|in a read-only transaction|READONLY You can.t write against a read only"
    r"|server is (?:running )?(?:in )?read[- ]only|ERROR 1290|ERROR 1836|\b25006\b|not (?:master|primary)(?: and slaveok| and secondaryok|,)"
    r"|NotWritablePrimary|database is read[- ]only|attempt to write a readonly database|running in read-only mode|misconf redis|ORA-16000",
    re.IGNORECASE,
)
_AFTER_FATAL = re.compile(r"cannot enqueue \w+ after fatal error", re.IGNORECASE)
"""What the Node client of MySQL says after a handshake that failed: with an address that refuses it would have said that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What one client's log says, once however many patterns say it."""

    log: LogPattern
    evidence_ids: tuple[str, ...]


class DataStores:
    """Reads the logs of clients; what a database logs about itself proves little."""

    name = "data_stores"

    def detect(self, world: World) -> Iterable[Finding]:
        stores = _stores(world)
        names = {item.name for item in stores}
        denied = _saying(world, _DENIED, names)
        for name, said in {**_saying(world, _AFTER_FATAL, names), **denied}.items():
            weight = STORES.denied if name in denied else STORES.handshake_failed
            client = wiring.workload_named(world, said.log.subject)
            yield self._finding(said, "mysql_invalid_credentials", weight * _standing(world, client), "the database turns it away", client)
        yield from self._unreachable(world, stores, names)
        for pattern, cause, one, many in (
            (_TOO_MANY, "db_connection_exhaustion", STORES.too_many, STORES.too_many_more),
            (_READ_ONLY, "db_read_only", STORES.read_only, STORES.read_only),
        ):
            clients = _saying(world, pattern, set())
            outside = [said for name, said in clients.items() if name not in names]
            if not clients:
                continue
            said = next(iter(outside or clients.values()))
            store = _store_of(world, stores, [name for name in clients if name not in names], [name for name in clients if name in names])
            if store is None:
                continue
            weight = many if len(outside) > 1 else one
            ids = tuple(dict.fromkeys(evidence_id for other in clients.values() for evidence_id in other.evidence_ids))[:6]
            words = f"{len(outside)} clients" if len(outside) > 1 else said.log.subject.name
            yield Finding(
                detector=self.name,
                summary=f"{store.name} turns {words} away: “{_words(said.log, pattern)}”",
                subject=store,
                facts={"clients": len(outside), "client": said.log.subject.name},
                evidence_ids=ids,
                cause=cause,
                weight=weight,
            )

    def _unreachable(self, world: World, stores: Sequence[Subject], names: set[str]) -> Iterable[Finding]:
        saying = {name: said for name, said in _saying(world, _REFUSED, names).items() if not _is_about_names(world, name)}
        others = _working_clients(world, saying)
        for said in saying.values():
            alone = len(saying) == 1 or len(saying) * 3 < len(saying) + others
            down = tuple(store for store in stores if not _has_ready(world, store))
            client = wiring.workload_named(world, said.log.subject)
            weight = STORES.refused if alone and not (down and len(stores) == len(down)) else STORES.refused_by_all
            words = "its database refuses the connection, and other workloads have theirs" if alone else "its database refuses the connection"
            yield self._finding(said, "mysql_invalid_port", weight * _standing(world, client), words, client, () if alone else down)

    def _finding(self, said: _Said, cause: str, weight: float, words: str, subject: Subject, explained_by: tuple[Subject, ...] = ()) -> Finding:
        pattern = next((pattern for pattern in (_DENIED, _AFTER_FATAL, _REFUSED) if pattern.search(said.log.sample)), _REFUSED)
        return Finding(
            detector=self.name,
            summary=f"{subject.name} says “{_words(said.log, pattern)}”: {words}",
            subject=subject,
            facts={"client": subject.name},
            evidence_ids=said.evidence_ids,
            cause=cause,
            weight=weight,
            explained_by=explained_by,
        )


def _saying(world: World, pattern: re.Pattern[str], without: set[str]) -> dict[str, _Said]:
    """By workload: whose log has such a line. What only a database's own log says is left out where `without` names it."""
    found: dict[str, _Said] = {}
    for seen in world.log_patterns:
        log = seen.value
        if log.has_vanished or log.subject.name in without or not pattern.search(log.sample[:2_000]):
            continue
        if log.subject.name not in found:
            found[log.subject.name] = _Said(log=log, evidence_ids=(seen.evidence_id,))
        elif seen.evidence_id not in found[log.subject.name].evidence_ids:
            before = found[log.subject.name]
            found[log.subject.name] = _Said(log=before.log, evidence_ids=(*before.evidence_ids, seen.evidence_id)[:4])
    return found


def _stores(world: World) -> tuple[Subject, ...]:
    """The workloads that are databases: by the port that they listen on, else by their image."""
    found: dict[tuple[str, str], Subject] = {}
    for seen in wiring.workloads(world):
        item = seen.value
        ports = {wiring.number(port.get("containerPort")) for port in wiring.container_ports(item, sidecars=False)}
        images = [
            k8s.text_of(container, "image").partition("@")[0].rpartition("/")[2]
            for container in k8s.mappings_of(k8s.pod_template(item), "spec", "containers")
        ]
        if ports & PORTS.keys() or any(_KINDS.search(image) for image in images):
            found[(item.namespace, item.name)] = wiring.subject_of(item)
    return tuple(found.values())


def _store_of(world: World, stores: Sequence[Subject], clients: Sequence[str], own: Sequence[str]) -> Subject | None:
    """The database that these clients mean: the one that their environment names, else the one that says so, else the one called most like them."""
    if not stores:
        return None
    named = {
        address.service
        for seen in wiring.workloads(world)
        if seen.value.name in clients
        for address in wiring.addresses_of(seen.value)
    }  # fmt: skip

    def key(store: Subject) -> tuple[float, float, float, float]:
        others = [
            client for client in world.pods_by_workload if client[1] != store.name and store.name.startswith(client[1]) and client[1] not in clients
        ]
        return (
            float(any(store.name == name or name.startswith(store.name) for name in named)),
            float(store.name in own),
            -float(bool(others)),  # `queue` and `queuedb`: that one belongs to somebody else
            _likeness(store.name, clients),
        )

    return max(stores, key=key)


def _likeness(name: str, clients: Sequence[str]) -> float:
    return sum(_common(name, client) for client in clients) / len(clients) if clients else 0.0


def _common(one: str, other: str) -> int:
    return next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _standing(world: World, client: Subject) -> float:
    """How much an old error still counts: a client that has been ready for a while has got over it."""
    pods = world.pods_by_workload.get((client.namespace, client.name), ())
    well = [pod for pod in pods if wiring.has_settled(pod.value, world.now)]
    return STORES.got_over if pods and len(well) == len(pods) else 1.0


def _working_clients(world: World, saying: Mapping[str, Any]) -> int:
    """How many other workloads are ready: some of them use the same database."""
    return sum(1 for (_, name), pods in world.pods_by_workload.items() if name not in saying and any(wiring.is_ready(pod.value) for pod in pods))


def _has_ready(world: World, store: Subject) -> bool:
    pods: Sequence[Seen[KubernetesObject]] = world.pods_by_workload.get((store.namespace, store.name), ())
    return not pods or any(wiring.is_ready(pod.value) for pod in pods)


def _is_about_names(world: World, name: str) -> bool:
    """Whether this workload cannot even resolve names: then the database is only the first to be missed."""
    return any(error.kind in (NAME, NO_ANSWER) and error.log.subject.name == name for error in peer_errors(world))


def _words(log: LogPattern, pattern: re.Pattern[str]) -> str:
    match = pattern.search(log.sample)
    start = max(0, match.start() - 10) if match else 0
    return one_line(log.sample[start : start + 160], 120)
