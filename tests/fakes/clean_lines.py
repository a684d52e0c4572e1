"""Lines of logs and texts of alerts without any secret in them, and with all that looks like one: the same lines for the same seed."""

# ruff: noqa: E501  (a table: one of them a line)

from __future__ import annotations

import base64
import random
import uuid
from collections.abc import Callable, Iterator


def clean_lines(count: int, seed: int = 5) -> Iterator[str]:
    """`count` different lines: Kubernetes, nginx, PostgreSQL, Java, Go, git, registries, YAML, JSON, key=value."""
    chance = random.Random(seed)
    seen: set[str] = set()
    while len(seen) < count:
        template = chance.choice(_TEMPLATES)
        line = template(chance)
        if line not in seen:
            seen.add(line)
            yield line


def _hex(chance: random.Random, length: int) -> str:
    return "".join(chance.choices("0123456789abcdef", k=length))


def _uuid(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def _time(chance: random.Random) -> str:
    return f"2026-11-{chance.randint(1, 28):02}T{chance.randint(0, 23):02}:{chance.randint(0, 59):02}:{chance.randint(0, 59):02}.{chance.randint(0, 999):03}Z"


def _ip(chance: random.Random) -> str:
    return f"10.{chance.randint(0, 255)}.{chance.randint(0, 255)}.{chance.randint(1, 254)}"


def _word(chance: random.Random) -> str:
    return chance.choice(("cart", "checkout", "ledger", "search", "gateway", "billing", "catalog", "mailer", "profile", "stock", "auth", "session"))


def _pod(chance: random.Random) -> str:
    tail = "".join(chance.choices("bcdfghjklmnpqrstvwxz2456789", k=5))
    return f"{_word(chance)}-{chance.choice(('api', 'worker', 'web', 'db'))}-{_hex(chance, 9)}-{tail}"


def _small(chance: random.Random) -> str:
    return base64.b64encode(f"{_word(chance)}:{chance.randint(1, 9999)}".encode()).decode()


def _n(chance: random.Random, most: int = 100_000) -> int:
    return chance.randint(1, most)


_TEMPLATES: tuple[Callable[[random.Random], str], ...] = (
    # Kubernetes
    lambda r: f"Back-off restarting failed container {_word(r)} in pod {_pod(r)}_shop({_uuid(r)})",
    lambda r: f"Pulled image \"registry.example/shop/{_word(r)}@sha256:{_hex(r, 64)}\" in {_n(r, 9000)}ms ({_n(r, 9000)}ms including waiting)",
    lambda r: f"I1125 10:{r.randint(10, 59)}:{r.randint(10, 59)}.{_n(r, 999999):06} 1 event.go:{_n(r, 400)}] Event(v1.ObjectReference{{Kind:\"Pod\", Namespace:\"shop\", Name:\"{_pod(r)}\", UID:\"{_uuid(r)}\", APIVersion:\"v1\", ResourceVersion:\"{_n(r, 10**8)}\"}}): type: 'Normal' reason: 'Scheduled'",
    lambda r: f"MountVolume.SetUp failed for volume \"kube-api-access-{_hex(r, 5)}\" : object \"shop\"/\"kube-root-ca.crt\" not registered",
    lambda r: f"MountVolume.SetUp failed for volume \"{_word(r)}-tls\" : secret \"{_word(r)}-tls-{_n(r, 99)}\" not found",
    lambda r: f"secretName: {_word(r)}-tls-{_n(r, 99)}",
    lambda r: f"        - name: {_word(r).upper()}_PASSWORD_{_n(r, 99)}\n          valueFrom:\n            secretKeyRef:\n              name: {_word(r)}-db\n              key: password",
    lambda r: f"resourceVersion: \"{_n(r, 10**9)}\"",
    lambda r: f"uid: {_uuid(r)}",
    lambda r: f"pod-template-hash={_hex(r, 10)}, app={_word(r)}, controller-revision-hash={_word(r)}-{_hex(r, 10)}",
    lambda r: f"checksum/config: {_hex(r, 64)}",
    lambda r: f"imageID: docker.io/library/{_word(r)}@sha256:{_hex(r, 64)}",
    lambda r: f"containerID: containerd://{_hex(r, 64)}",
    lambda r: f"0/{_n(r, 60)} nodes are available: {_n(r, 60)} Insufficient memory, {_n(r, 9)} node(s) had untolerated taint {{node-role.kubernetes.io/control-plane: }}.",
    lambda r: f"Readiness probe failed: Get \"http://{_ip(r)}:8080/healthz\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
    lambda r: f"serviceaccounts \"{_word(r)}\" is forbidden: User \"system:serviceaccount:shop:{_word(r)}-{_n(r, 99)}\" cannot get resource \"secrets\" in API group \"\" in the namespace \"shop\"",
    lambda r: f"kubectl.kubernetes.io/restartedAt: {_time(r)}",
    lambda r: f"the server was unable to return a response in the time allotted, but may still be processing the request (get secrets {_word(r)}-{_n(r)})",
    # access logs
    lambda r: f"{_ip(r)} - - [25/Nov/2026:10:{r.randint(10, 59)}:{r.randint(10, 59)} +0000] \"GET /api/v1/{_word(r)}/{_n(r)}?page={_n(r, 90)}&sort=name HTTP/1.1\" 200 {_n(r)} \"-\" \"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\" {_n(r, 999)} 0.{_n(r, 999):03} [shop-{_word(r)}-80] [] {_ip(r)}:8080 {_n(r)} 0.{_n(r, 999):03} 200 {_hex(r, 32)}",
    lambda r: f"{_time(r)} [error] {_n(r, 99)}#{_n(r, 99)}: *{_n(r)} upstream timed out (110: Connection timed out) while reading response header from upstream, client: {_ip(r)}, server: shop.example, request: \"POST /{_word(r)} HTTP/2.0\", upstream: \"http://{_ip(r)}:8080/{_word(r)}\", host: \"shop.example\"",
    lambda r: f"[{_time(r)}] \"GET /{_word(r)} HTTP/1.1\" 503 UF,URX 0 91 {_n(r, 9999)} - \"-\" \"Go-http-client/1.1\" \"{_uuid(r)}\" \"{_word(r)}.shop:8080\" \"{_ip(r)}:8080\"",
    # databases
    lambda r: f"2026-11-25 10:{r.randint(10, 59)}:{r.randint(10, 59)}.{_n(r, 999):03} UTC [{_n(r)}] {_word(r)}@shop FATAL:  password authentication failed for user \"{_word(r)}\"",
    lambda r: f"2026-11-25 10:{r.randint(10, 59)}:{r.randint(10, 59)}.{_n(r, 999):03} UTC [{_n(r)}] ERROR:  duplicate key value violates unique constraint \"{_word(r)}_pkey\"",
    lambda r: f"DETAIL:  Key (id)=({_n(r, 10**8)}) already exists.",
    lambda r: f"LOG:  checkpoint complete: wrote {_n(r)} buffers ({r.random() * 9:.1f}%); 0 WAL file(s) added, 0 removed; lsn={_hex(r, 2).upper()}/{_hex(r, 8).upper()}",
    lambda r: f"# Query_time: {r.random() * 9:.6f}  Lock_time: 0.00{_n(r, 9999):04} Rows_sent: {_n(r)}  Rows_examined: {_n(r, 10**7)}",
    lambda r: f"[Warning] Access denied for user '{_word(r)}'@'{_ip(r)}' (using password: YES)",
    lambda r: f"Access denied for user '{_word(r)}'@'{_ip(r)}' (using password: NO)",
    lambda r: f"redis: evicted {_n(r)} keys, used_memory:{_n(r, 10**9)}, keyspace_hits:{_n(r, 10**9)}, connected_clients:{_n(r, 999)}",
    lambda r: f"cache miss key={_word(r)}:{_n(r)}:v{_n(r, 9)} ttl={_n(r, 900)}s",
    lambda r: f"cache set key=\"{_word(r)}/{_uuid(r)}\" size={_n(r)}",
    # Java
    lambda r: f"{_time(r)} ERROR {_n(r, 99)} --- [nio-8080-exec-{_n(r, 99)}] c.e.shop.{_word(r)}.{_word(r).title()}Controller : Connection is not available, request timed out after {_n(r, 30000)}ms.",
    lambda r: f"\tat com.example.shop.{_word(r)}.internal.Abstract{_word(r).title()}TokenRefreshingInterceptor.intercept({_word(r).title()}.java:{_n(r, 900)})",
    lambda r: f"java.lang.OutOfMemoryError: Java heap space: failed reallocation of scalar replaced objects at {_word(r)}.{_word(r).title()}$${_hex(r, 8)}",
    lambda r: f"org.apache.kafka.common.errors.TimeoutException: Topic {_word(r)}-events-{_n(r, 99)} not present in metadata after {_n(r, 60000)} ms.",
    lambda r: f"HikariPool-{_n(r, 9)} - Thread starvation or clock leap detected (housekeeper delta={_n(r, 59)}s{_n(r, 999)}ms).",
    # Go and key=value
    lambda r: f"level=error ts={_time(r)} caller=manager.go:{_n(r, 900)} component=\"rule manager\" group={_word(r)}.rules msg=\"Evaluating rule failed\" err=\"query timed out in expression evaluation\" traceID={_hex(r, 32)}",
    lambda r: f"level=info ts={_time(r)} msg=\"token bucket full\" bucket={_word(r)} rate={_n(r, 900)} burst={_n(r, 900)}",
    lambda r: f"max_tokens={_n(r, 9000)} prompt_tokens={_n(r, 9000)} total_tokens={_n(r)}",
    lambda r: f"time={_time(r)} level=WARN msg=\"invalid token: expired\" user_id={_n(r)} request_id={_uuid(r)}",
    lambda r: f"{{\"level\":\"warn\",\"ts\":{_n(r, 10**9)}.{_n(r, 999)},\"msg\":\"retrying\",\"attempt\":{_n(r, 9)},\"trace_id\":\"{_hex(r, 32)}\",\"span_id\":\"{_hex(r, 16)}\",\"key\":\"{_word(r)}-{_n(r)}\"}}",
    lambda r: f"{{\"token\":null,\"secret\":\"\",\"password\":null,\"attempt\":{_n(r)}}}",
    lambda r: f"dial tcp: lookup {_word(r)}.shop.svc.cluster.local on {_ip(r)}:53: no such host",
    lambda r: f"x509: certificate signed by unknown authority (serial={_hex(r, 40)})",
    lambda r: f"tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time {_time(r)} is after 2026-01-01T00:00:00Z",
    lambda r: f"goroutine {_n(r)} [running]:\nmain.(*{_word(r).title()}Server).handle(0xc000{_hex(r, 6)}, {{0x{_hex(r, 6)}, 0xc000{_hex(r, 6)}}})",
    lambda r: f"grpc: addrConn.createTransport failed to connect to {{Addr: \"{_ip(r)}:443\", ServerName: \"{_word(r)}.shop:443\", }}. Err: connection error",
    lambda r: f"etcdserver: request timed out, revision={_n(r, 10**9)} raft_term={_n(r, 99)} key:\"/registry/secrets/shop/{_word(r)}\" took={_n(r, 9999)}ms",
    # git, registries, encodings
    lambda r: f"commit {_hex(r, 40)} by {_word(r)}: bump {_word(r)} to v{_n(r, 9)}.{_n(r, 30)}.{_n(r, 30)}",
    lambda r: f"Reconciled revision main@sha1:{_hex(r, 40)} of GitRepository flux-system/{_word(r)}",
    lambda r: f"etag=\"{_hex(r, 32)}\" size={_n(r, 10**8)} path=/var/lib/{_word(r)}/data-{_n(r)}.parquet",
    lambda r: f"payload={_small(r)} offset={_n(r, 10**8)}",
    lambda r: f"state cookie {_n(r)} of session {_n(r)}: bytes {_n(r, 10**8)}",
    lambda r: f"integrity sha512-{base64.b64encode(r.randbytes(64)).decode()} {_word(r)}",
    lambda r: f"idempotency_key={_uuid(r)} order={_n(r, 10**8)}",
    lambda r: f"partition_key={_word(r)}-{_n(r)} shard={_n(r, 64)}",
    lambda r: f"primary key: {_word(r)}_id, foreign key: {_word(r)}_{_n(r)}",
    lambda r: f"GET https://api.example/v2/{_word(r)}/{_uuid(r)}/items?limit={_n(r, 100)} 504",
    lambda r: f"node-exporter-{_hex(r, 5)} scrape https://{_ip(r)}:9100/metrics: server returned HTTP status 500",
    # alerts and configuration
    lambda r: f"Pod shop/{_pod(r)} is in waiting state (reason: CrashLoopBackOff) on container {_word(r)}.",
    lambda r: f"The API server {_ip(r)}:6443 burns too much error budget: {r.random() * 99:.2f}% of requests.",
    lambda r: f"Secret {_word(r)}/{_word(r)}-tls was rotated {_n(r, 99)} days ago; password changed by admin {_n(r)}",
    lambda r: f"secrets: {_n(r, 99)} objects, configmaps: {_n(r, 999)} objects",
    lambda r: f"authentication: basic health-check of {_word(r)} took {_n(r)}ms",
    lambda r: f"Bearer authentication is enabled for {_word(r)} on port {_n(r, 65000)}",
    lambda r: f"author: {_word(r)}-bot date: {_time(r)}",
    lambda r: f"keyboard interrupt; monkey={_n(r)}; keys: {_n(r)}; tokens: {r.random() * 9:.1f}k",
    lambda r: f"compass: heading={_n(r, 360)}; passenger={_n(r)}; bypass: {_n(r)}",
    lambda r: f"postgres://{_word(r)}-db.shop:5432/{_word(r)}?sslmode=disable&pool={_n(r, 99)}",
    lambda r: f"connecting to amqp://{_word(r)}@rabbit-{_n(r, 99)}:5672/%2f",
    lambda r: f"--token-file /var/run/secrets/tokens/{_word(r)}-{_n(r)} --password-file=/etc/{_word(r)}/pw --secret-name {_word(r)}",
    lambda r: f"TOKEN_URL=https://login.example/oauth/{_word(r)}/{_n(r)}",
    lambda r: f"{_word(r)}.{_word(r)}.shop.svc.cluster.local:{_n(r, 65000)} latency p99={r.random() * 9:.3f}s p50=0.{_n(r, 999):03}s",
    lambda r: f"disk-{_n(r)} at /dev/disk/by-id/scsi-0{_hex(r, 16)} has {_n(r, 99)}% inodes free",
    lambda r: f"volume pvc-{_uuid(r)} attached to node worker-{_n(r, 99)}",
    lambda r: f"task-{_n(r)} risk-assessment-of-{_word(r)}-{_n(r)}-finished in {_n(r)}ms",
    lambda r: f"container_memory_working_set_bytes{{namespace=\"shop\", pod=\"{_pod(r)}\", id=\"/kubepods.slice/kubepods-burstable-pod{_uuid(r).replace('-', '_')}.slice\"}} {_n(r, 10**9)}",
)  # fmt: skip
