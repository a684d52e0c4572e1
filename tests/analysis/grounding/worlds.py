"""Worlds of fact lines, and true sentences about them in the words of a small model. What is said of a world is said of its facts alone."""

# ruff: noqa: E501 - lists of words and sentences, one thing a line
from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from agent_sre.analysis.fact_line import FactLine


@dataclass(frozen=True, kw_only=True)
class World:
    """One incident as the model sees it."""

    name: str
    context: str
    facts: tuple[FactLine, ...]
    true: tuple[str, ...]

    @property
    def cited(self) -> tuple[str, ...]:
        return tuple(fact.evidence_id for fact in self.facts)


def _at(clock: str) -> datetime | None:
    if not clock:
        return None
    hour, minute = clock.split(":")
    return datetime(2026, 11, 25, int(hour), int(minute), tzinfo=UTC)


def make_world(name: str, context: str, facts: str, true: str) -> World:
    lines = []
    for line in facts.strip().splitlines():
        evidence_id, clock, text = line.strip().split("|", 2)
        lines.append(FactLine(evidence_id=evidence_id, text=text.strip(), at=_at(clock)))
    return World(name=name, context=context, facts=tuple(lines), true=tuple(line.strip() for line in true.strip().splitlines()))


WORLDS: tuple[World, ...] = (
    make_world(
        "memory",
        "Alert ContainerMemoryNearLimit about pod shop/cart-7d9f8b6c5-x2x4z. The container needs more memory than its limit allows.",
        """
        E01|09:00|metric container_memory_working_set_bytes{namespace=shop,pod=cart-7d9f8b6c5-x2x4z} now=1.71Gi 1h_ago=0.9Gi limit=2Gi slope=+0.8Gi/h
        E02|10:02|pod shop/cart-7d9f8b6c5-x2x4z on node worker-2: container app OOMKilled, exit code 137, restarts=5
        E03|08:55|Deployment shop/cart rolled out revision 7: image cart:1.2 → cart:1.3 at 08:55
        E04||metric container_memory_working_set_bytes{namespace=shop,pod=search-5c6d7f8b9-q9w8z} now=0.42Gi 1h_ago=0.41Gi limit=1Gi
        """,
        """
        The memory of cart-7d9f8b6c5-x2x4z grew from 0.9Gi to 1.71Gi within an hour, close to its limit of 2Gi.
        Memory usage of pod cart-7d9f8b6c5-x2x4z is 1.71Gi, and its limit is 2Gi.
        The pod cart-7d9f8b6c5-x2x4z was OOMKilled with exit code 137 and has restarted 5 times.
        cart-7d9f8b6c5-x2x4z was OOMKilled because its memory grew to 1.71Gi of the 2Gi limit.
        The memory growth started after the rollout of cart:1.3 at 08:55.
        Memory is rising at 0.8Gi/h.
        The container app on node worker-2 was killed because it ran out of memory.
        Deployment cart rolled out revision 7 at 08:55, which changed the image from cart:1.2 to cart:1.3.
        """,
    ),
    make_world(
        "oom java",
        "Alert KubePodCrashLooping about pod billing/invoice-api-6f5d4c3b2-k8s9x. The container was killed for lack of memory.",
        """
        E05|14:10|pod billing/invoice-api-6f5d4c3b2-k8s9x: last state terminated, reason OOMKilled, exit code 137, 9 restarts in 1h
        E06|14:08|logs of billing/invoice-api-6f5d4c3b2-k8s9x: 48 lines like "java.lang.OutOfMemoryError: Java heap space", 0 in the hour before
        E07|13:40|metric container_memory_working_set_bytes{pod=invoice-api-6f5d4c3b2-k8s9x} now=508Mi 1h_ago=310Mi limit=512Mi
        E08||pod billing/ledger-0: Running, ready, 0 restarts
        """,
        """
        The pod invoice-api-6f5d4c3b2-k8s9x was terminated with reason OOMKilled and exit code 137.
        It has 9 restarts in 1h.
        Its logs show 48 lines like "java.lang.OutOfMemoryError: Java heap space".
        Memory rose from 310Mi to 508Mi, which is close to the limit of 512Mi.
        invoice-api-6f5d4c3b2-k8s9x is out of memory: it uses 508Mi of its 512Mi limit.
        The pod was OOMKilled after its memory rose to 508Mi.
        ledger-0 is running and ready with 0 restarts.
        """,
    ),
    make_world(
        "crash loop on configuration",
        "Alert KubePodCrashLooping about pod auth/login-5b8c7d6f4-zz2kq. The process exits because its configuration is missing.",
        """
        E01|11:31|pod auth/login-5b8c7d6f4-zz2kq: container login waiting, CrashLoopBackOff, restarts=12, last exit code 1
        E02|11:30|logs of auth/login-5b8c7d6f4-zz2kq: 12 times "panic: missing environment variable JWT_SECRET"
        E03|11:29|ConfigMap auth/login-settings was changed by deploy-bot at 11:29
        """,
        """
        The container login is in CrashLoopBackOff with 12 restarts and last exit code 1.
        Pod login-5b8c7d6f4-zz2kq is crash looping and has restarted 12 times.
        The logs say "missing environment variable JWT_SECRET".
        The pod logged a panic 12 times about the missing environment variable JWT_SECRET.
        The ConfigMap login-settings was changed by deploy-bot at 11:29.
        The pod login-5b8c7d6f4-zz2kq crashes because the environment variable JWT_SECRET is missing.
        """,
    ),
    make_world(
        "image pull",
        "Alert KubePodNotReady about pod web/frontend-66d4b9c7f-p4v2m. The image cannot be pulled.",
        """
        E11|07:45|pod web/frontend-66d4b9c7f-p4v2m: container frontend waiting, ImagePullBackOff, image registry.local:5000/web/frontend:2.9.1
        E12|07:45|event Failed on pod web/frontend-66d4b9c7f-p4v2m (14 times): Failed to pull image "registry.local:5000/web/frontend:2.9.1": manifest unknown: not found
        E13|07:44|Deployment web/frontend was rolled out: image frontend:2.9.0 → frontend:2.9.1
        """,
        """
        The pod frontend-66d4b9c7f-p4v2m cannot pull the image registry.local:5000/web/frontend:2.9.1.
        Container frontend is waiting in ImagePullBackOff.
        Pulling the image failed 14 times because the manifest was not found.
        The image of frontend-66d4b9c7f-p4v2m could not be pulled: manifest unknown.
        The Deployment frontend was rolled out with a new image, frontend:2.9.1.
        The rollout of frontend:2.9.1 led to ImagePullBackOff.
        """,
    ),
    make_world(
        "readiness probe",
        "Alert KubeDeploymentReplicasMismatch about deployment pay/gateway. The readiness probe fails.",
        """
        E01|16:20|event Unhealthy on pod pay/gateway-7c9d8b5f6-abcd2 (31 times): Readiness probe failed: HTTP probe failed with statuscode: 503
        E02|16:21|Deployment pay/gateway: ready=1/3, updated=3, unavailable=2
        E03|16:19|logs of pay/gateway-7c9d8b5f6-abcd2: 120 lines like "dial tcp 10.0.3.17:5432: connect: connection refused"
        """,
        """
        The readiness probe of gateway-7c9d8b5f6-abcd2 failed 31 times with statuscode 503.
        Only 1 of 3 replicas of gateway is ready.
        2 replicas of gateway are unavailable.
        The logs of gateway-7c9d8b5f6-abcd2 show connection refused to 10.0.3.17:5432.
        gateway-7c9d8b5f6-abcd2 logged 120 lines like "connect: connection refused".
        The readiness probe fails because connections to 10.0.3.17:5432 are refused.
        """,
    ),
    make_world(
        "liveness probe",
        "Alert KubePodCrashLooping about pod media/encoder-0. The liveness probe kills the container.",
        """
        E01|03:12|event Unhealthy on pod media/encoder-0 (8 times): Liveness probe failed: Get "http://10.1.2.3:8080/healthz": context deadline exceeded
        E02|03:13|event Killing on pod media/encoder-0 (4 times): Container encoder failed liveness probe, will be restarted
        E03|03:05|metric container_cpu_usage_seconds_total{pod=encoder-0} now=1.98 cores 1h_ago=0.6 cores limit=2 cores
        E04|03:06|metric container_cpu_cfs_throttled_ratio{pod=encoder-0} now=71% 1h_ago=2%
        """,
        """
        The liveness probe of encoder-0 failed 8 times with a timeout.
        CPU usage of encoder-0 rose from 0.6 to 1.98 cores, near its limit of 2 cores.
        CPU throttling of encoder-0 increased from 2% to 71%.
        encoder-0 is throttled: 71% now against 2% an hour ago.
        The liveness probe timed out after CPU throttling rose to 71%.
        """,
    ),
    make_world(
        "disk full",
        "Alert NodeFilesystemAlmostOutOfSpace about node db-host-3. The file system is filling up.",
        """
        E01|22:40|metric node_filesystem_used{instance=db-host-3,mountpoint=/var/lib/data} now=96.4% 6h_ago=81% slope=+2.6%/h
        E02|22:55|logs of postgres on db-host-3: 210 lines like "could not write to file: No space left on device", first at 22:55
        E03||metric node_filesystem_size_bytes{instance=db-host-3,mountpoint=/var/lib/data} value=500GB
        """,
        """
        The filesystem /var/lib/data on db-host-3 is 96.4% full.
        Disk usage on db-host-3 grew from 81% to 96.4% in 6h.
        postgres on db-host-3 cannot write because there is no space left on the device.
        postgres logged 210 lines like "could not write to file".
        Disk usage of db-host-3 rises by 2.6% per hour.
        The filesystem size is 500GB.
        Disk usage increased to 96.4%, and then postgres could not write to file.
        """,
    ),
    make_world(
        "claim",
        "Alert KubePersistentVolumeFillingUp about PVC data/kafka-data-kafka-1.",
        """
        E01|18:00|PVC data/kafka-data-kafka-1: used 47.5Gi of 50Gi (95%), 24h_ago=38Gi
        E02|18:05|StatefulSet data/kafka: ready=2/3
        E03|18:04|logs of data/kafka-1: 64 lines like "Error while writing to log segment: No space left on device"
        """,
        """
        The PVC kafka-data-kafka-1 is 95% full: 47.5Gi of 50Gi are used.
        The volume kafka-data-kafka-1 uses 47.5Gi of 50Gi.
        The logs of kafka-1 show no space left on device.
        Only 2 of 3 replicas of kafka are ready.
        kafka-1 logged 64 errors about no space left on the device.
        The claim kafka-data-kafka-1 has grown from 38Gi to 47.5Gi.
        """,
    ),
    make_world(
        "claim not bound",
        "Alert KubePodNotScheduled about pod data/redis-2. The claim of the pod is not bound.",
        """
        E01|09:15|pod data/redis-2 with claim redis-data-redis-2: Pending, unschedulable: pod has unbound immediate PersistentVolumeClaims
        E02|09:15|PVC data/redis-data-redis-2: Pending, storageclass "fast-ssd" not found
        """,
        """
        The pod redis-2 is pending because its claim redis-data-redis-2 is not bound.
        redis-2 is Pending and unschedulable.
        The storageclass "fast-ssd" was not found.
        PVC redis-data-redis-2 is pending: the storageclass fast-ssd was not found.
        The pod redis-2 cannot be scheduled.
        """,
    ),
    make_world(
        "node down",
        "Alert KubeNodeNotReady about node worker-7. The node is not ready.",
        """
        E01|05:33|node worker-7: condition Ready=Unknown since 05:33, reason NodeStatusUnknown, Kubelet stopped posting node status
        E02|05:38|event NodeNotReady on 14 pods of node worker-7
        E03|05:32|target node-exporter on worker-7 is down: dial tcp 10.0.0.27:9100: no route to host
        """,
        """
        Node worker-7 is not ready since 05:33.
        The kubelet on worker-7 stopped posting node status.
        The target node-exporter on worker-7 is down with no route to host.
        14 pods of node worker-7 are affected.
        worker-7 is unreachable: no route to host.
        """,
    ),
    make_world(
        "node pressure",
        "Alert KubeNodePressure about node worker-4. The node is short of memory.",
        """
        E01|12:01|node worker-4: MemoryPressure=True since 12:01, allocatable memory 15.2Gi
        E02|12:04|event Evicted on pod batch/report-29384-lx7bz: The node was low on resource: memory
        E03|11:50|metric node_memory_usage_ratio{instance=worker-4} now=98.1% usual=72%
        """,
        """
        Node worker-4 has had memory pressure since 12:01.
        The pod report-29384-lx7bz was evicted because the node was low on memory.
        Memory usage of worker-4 is 98.1%, above its usual 72%.
        Memory on worker-4 is at 98.1%, which is higher than usual.
        The pod report-29384-lx7bz was evicted after worker-4 came under memory pressure.
        """,
    ),
    make_world(
        "dns",
        "Alert HighErrorRate about service shop/checkout. Names do not resolve.",
        """
        E01|20:14|logs of shop/checkout-84d6f7c9b-m2n4p: 340 lines like "lookup payments.shop.svc.cluster.local: no such host", new since 20:14
        E02|20:12|pods of kube-system/coredns: 0 of 2 ready
        E03|20:15|metric http_requests_errors{service=checkout} now=41% usual=0.3%
        """,
        """
        DNS lookups of payments.shop.svc.cluster.local fail with no such host.
        checkout-84d6f7c9b-m2n4p cannot resolve payments.shop.svc.cluster.local.
        0 of 2 coredns pods are ready.
        The error rate of checkout rose from 0.3% to 41%.
        The errors of checkout are 41%, against a usual 0.3%.
        The logs have 340 lines like "no such host" since 20:14.
        """,
    ),
    make_world(
        "certificate",
        "Alert CertificateExpired about ingress edge/shop-tls. The certificate has expired.",
        """
        E01|00:00|The certificate edge/shop-tls expired at 2026-11-25 00:00 UTC
        E02|00:01|logs of edge/ingress-nginx-controller-0: 870 lines like "x509: certificate has expired or is not yet valid"
        E03|00:02|Certificate edge/shop-tls is not ready: the ACME order failed with 429 rateLimited
        """,
        """
        The certificate shop-tls expired at 00:00 UTC.
        The certificate edge/shop-tls has expired and is not ready.
        ingress-nginx-controller-0 logged 870 lines like "x509: certificate has expired".
        The ACME order failed with 429 rateLimited.
        TLS fails because the certificate shop-tls has expired.
        """,
    ),
    make_world(
        "certificate soon",
        "Alert CertificateExpiresSoon about host api.internal. The certificate expires soon.",
        """
        E01||The certificate of api.internal expires in 6d
        E02||cert-manager has no Certificate for api.internal
        """,
        """
        The certificate of api.internal expires in 6 days.
        cert-manager has no Certificate for api.internal.
        """,
    ),
    make_world(
        "latency",
        "Alert HighLatency about service pay/orders. The service is slow.",
        """
        E01|13:20|p99 latency of service pay/orders: now=2.4s usual=180ms
        E02|13:19|service pay/orders calls pay/stock: p99=2.1s, usual 60ms
        E03|13:21|requests to pay/orders: now=120/s usual=118/s, unchanged
        E04|13:10|Deployment pay/stock was rolled out: revision 41, image stock:5.1 → stock:5.2
        """,
        """
        The p99 latency of orders rose from 180ms to 2.4s.
        The service orders is slow: its p99 latency is 2.4s now and usually 180ms.
        orders calls stock, whose p99 is 2.1s against a usual 60ms.
        Requests to orders are unchanged at 120/s.
        The deployment stock was rolled out with revision 41.
        The latency of orders increased to 2.4s after the rollout of stock at 13:10.
        orders is slow because stock is slow.
        """,
    ),
    make_world(
        "dependency down",
        "Alert HighErrorRate about service web/portal. A service that it depends on is unreachable.",
        """
        E01|17:03|errors of web/portal: now=12.5/s usual=0.02/s
        E02|17:02|logs of web/portal-5f6d7c8b9-t7t2r: 455 lines like "connection refused: profile.web:8080", 0 before
        E03|17:01|Deployment web/profile: ready=0/2
        E04||portal depends on profile
        """,
        """
        The errors of portal increased from 0.02/s to 12.5/s.
        portal-5f6d7c8b9-t7t2r logs connection refused to profile.web:8080.
        The service profile has 0 of 2 replicas ready.
        portal depends on profile.
        portal fails because profile refuses connections.
        Errors of portal rose to 12.5/s because profile has no ready replicas.
        """,
    ),
    make_world(
        "bad rollout",
        "Alert HighErrorRate about service shop/catalog. The last rollout broke the service.",
        """
        E01|15:30|Deployment shop/catalog rolled out revision 88 at 15:30 by argo: image catalog:v3.4.0 → catalog:v3.4.1
        E02|15:32|5xx rate of shop/catalog: now=23% 1h_ago=0.1%
        E03|15:33|logs of shop/catalog-77f8d9c6b-v5v6x: 1204 lines like "undefined column: price_cents", new since 15:32
        """,
        """
        The 5xx rate of catalog rose from 0.1% to 23%.
        Revision 88 of catalog was rolled out at 15:30 by argo.
        The 5xx rate of catalog increased to 23% after the rollout of catalog:v3.4.1.
        The new version catalog:v3.4.1 was deployed at 15:30.
        catalog-77f8d9c6b-v5v6x logs "undefined column: price_cents" 1204 times.
        Since 15:32 the logs have 1204 lines like "undefined column: price_cents".
        The rollout of catalog:v3.4.1 caused the 5xx rate of catalog to rise to 23%.
        """,
    ),
    make_world(
        "autoscaler",
        "Alert KubeHpaMaxedOut about hpa shop/search. The autoscaler is at its maximum.",
        """
        E01|19:40|HPA shop/search: replicas=10 max=10, cpu 94% of target 70%
        E02|19:30|requests to shop/search: now=910/s 1h_ago=400/s
        E03|19:41|p95 latency of shop/search: now=850ms 1h_ago=210ms
        """,
        """
        The HPA search is at its maximum of 10 replicas.
        CPU is at 94%, above the target of 70%.
        Requests to search rose from 400/s to 910/s.
        The p95 latency of search rose from 210ms to 850ms.
        Traffic to search increased from 400/s to 910/s within an hour.
        The p95 latency of search rose to 850ms because requests to search rose to 910/s.
        """,
    ),
    make_world(
        "job",
        "Alert KubeJobFailed about job batch/nightly-export-29391. The job failed.",
        """
        E01|02:07|Job batch/nightly-export-29391 failed: BackoffLimitExceeded, 6 failed pods
        E02|02:06|logs of batch/nightly-export-29391-8k2ls: "ERROR permission denied for table invoices", 6 times
        """,
        """
        The job nightly-export-29391 failed with BackoffLimitExceeded.
        6 pods of the job nightly-export-29391 failed.
        The logs of nightly-export-29391-8k2ls say "permission denied for table invoices".
        Permission was denied for table invoices.
        The job nightly-export-29391 failed because permission was denied for table invoices.
        """,
    ),
    make_world(
        "etcd",
        "Alert etcdNoLeader about etcd member etcd-2. The members of etcd lost their leader.",
        """
        E01|04:18|metric etcd_server_has_leader{instance=etcd-2} now=0 1h_ago=1
        E02|04:17|metric etcd_disk_wal_fsync_duration_seconds p99{instance=etcd-2} now=1.3s usual=8ms
        E03|04:18|logs of kube-system/etcd-2: 77 lines like "leader failed to send out heartbeat on time; took too long, leader is overloaded likely from slow disk"
        """,
        """
        etcd-2 has no leader.
        The p99 fsync duration of etcd-2 rose from 8ms to 1.3s.
        The logs of etcd-2 say "leader failed to send out heartbeat on time".
        The wal fsync duration of etcd-2 is 1.3s, usually 8ms.
        etcd-2 lost its leader after its fsync duration rose to 1.3s.
        """,
    ),
    make_world(
        "quota",
        "Alert KubeQuotaExceeded about namespace team-a. The quota of the namespace is exhausted.",
        """
        E01|10:40|ReplicaSet team-a/worker-6d5c4b3a2 cannot make pods: exceeded quota: compute, requested: cpu=500m, used: cpu=7800m, limited: cpu=8
        E02|10:41|Deployment team-a/worker: ready=4/6
        """,
        """
        The ReplicaSet worker-6d5c4b3a2 cannot create pods because the quota compute is exceeded.
        4 of 6 replicas of worker are ready.
        The quota compute in namespace team-a is exceeded: cpu 7800m is used and limited to 8.
        worker-6d5c4b3a2 requested cpu 500m.
        """,
    ),
    make_world(
        "connections",
        "Alert PostgresTooManyConnections about database crm/pg-main. The database is out of connections.",
        """
        E01|08:22|metric pg_stat_activity_count{server=pg-main} now=100 1h_ago=35 limit=100
        E02|08:23|logs of crm/api-6c7d8e9f5-h4h5j: 96 lines like "FATAL: sorry, too many clients already"
        E03|08:10|Deployment crm/api was scaled from 4 to 12 replicas at 08:10
        """,
        """
        The activity count of pg-main rose from 35 to 100, its limit.
        Deployment api was scaled from 4 to 12 replicas at 08:10.
        api-6c7d8e9f5-h4h5j logs "sorry, too many clients already".
        The logs of api-6c7d8e9f5-h4h5j have 96 lines like "too many clients already".
        The activity count of pg-main reached its limit of 100.
        """,
    ),
    make_world(
        "queue",
        "Alert QueueBacklog about queue mail-out. Consumers are slower than producers.",
        """
        E01|21:05|queue mail-out: depth now=48200 1h_ago=300, consumers=1
        E02|21:00|Deployment mail/sender: ready=1/5, 4 pods Pending
        E03|21:00|event FailedScheduling on 4 pods of mail/sender: 0/6 nodes are available: insufficient cpu
        """,
        """
        The depth of queue mail-out grew from 300 to 48200.
        The queue mail-out has 1 consumer.
        4 pods of sender are pending.
        Only 1 of 5 replicas of sender is ready.
        4 pods of sender cannot be scheduled because of insufficient cpu.
        0/6 nodes are available: insufficient cpu.
        """,
    ),
    make_world(
        "network loss",
        "Alert NodeNetworkErrors about node edge-9. The network interface loses packets.",
        """
        E01|06:50|metric node_network_receive_drop_total{instance=edge-9,device=eth0} now=430/s usual=0/s
        E02|06:52|metric tcp_retransmit_ratio{instance=edge-9} now=7.5% usual=0.1%
        E03|06:48|Node edge-9 rebooted at 06:48, kernel 6.1.90 → 6.1.112
        """,
        """
        Device eth0 of edge-9 drops 430 packets per second.
        The retransmit ratio of edge-9 rose from 0.1% to 7.5%.
        Node edge-9 rebooted at 06:48.
        The kernel of edge-9 went from 6.1.90 to 6.1.112.
        The retransmit ratio of edge-9 increased after the reboot at 06:48.
        """,
    ),
    make_world(
        "scrape",
        "Alert TargetDown about job node/exporter. The process behind the target is not running.",
        """
        E01|23:10|metric up{job=exporter,instance=10.2.0.9:9100} now=0 1h_ago=1
        E02|23:10|target 10.2.0.9:9100 is down: connection refused
        """,
        """
        The target 10.2.0.9:9100 is down with connection refused.
        10.2.0.9:9100 refuses connections.
        The target 10.2.0.9:9100 is down because the connection was refused.
        The target 10.2.0.9:9100 is unreachable.
        """,
    ),
    make_world(
        "replication",
        "Alert MySQLReplicationLag about database crm/mysql-1. The replica lags behind.",
        """
        E01|01:30|metric mysql_slave_lag_seconds{server=mysql-1} now=14m usual=1s
        E02|01:28|logs of crm/mysql-1: 3 lines like "Deadlock found when trying to get lock; try restarting transaction"
        E03|01:25|CronJob crm/purge-old started a job at 01:25
        """,
        """
        The replication lag of mysql-1 is 14 minutes, usually 1s.
        The lag of mysql-1 rose from 1s to 14m.
        mysql-1 logs 3 lines like "Deadlock found".
        CronJob purge-old started a job at 01:25.
        The lag of mysql-1 rose after CronJob purge-old started a job at 01:25.
        """,
    ),
    make_world(
        "goroutines",
        "Alert HighGoroutines about pod obs/collector-0. Something leaks.",
        """
        E01|10:00|metric go_goroutines{pod=collector-0} now=18,400 6h_ago=9,200 slope=+1,533/h
        E02|10:30|metric process_open_fds{pod=collector-0} now=1,020 limit=1,024
        E03|10:31|logs of obs/collector-0: 512 lines like "accept: too many open files"
        """,
        """
        The goroutines of collector-0 doubled from 9,200 to 18,400 in 6h.
        collector-0 has 1,020 open fds, close to its limit of 1,024.
        The logs of collector-0 show "too many open files" 512 times.
        Goroutines of collector-0 are rising by 1,533 per hour.
        """,
    ),
    make_world(
        "forbidden",
        "Alert ControllerErrors about pod ops/syncer-0. The service account lacks rights.",
        """
        E01|12:44|logs of ops/syncer-0: 61 lines like "secrets is forbidden: User system:serviceaccount:ops:syncer cannot list resource secrets"
        E02|12:40|RoleBinding ops/syncer was removed by alice at 12:40
        """,
        """
        syncer-0 logged 61 lines like "secrets is forbidden".
        The user system:serviceaccount:ops:syncer cannot list resource secrets.
        RoleBinding syncer was removed by alice at 12:40.
        Listing secrets is forbidden for system:serviceaccount:ops:syncer.
        """,
    ),
    make_world(
        "nothing wrong",
        "Alert HighLatency about service web/blog. Over after 3 minutes: a short disturbance.",
        """
        E01||p99 latency of service web/blog: now=95ms usual=90ms, unchanged
        E02||errors of web/blog: none in the last hour
        E03||no change seen since 6h before the incident
        E04||Deployment web/blog: ready=3/3
        """,
        """
        The p99 latency of blog is 95ms, which is unchanged.
        No errors of blog were seen in the last hour.
        All 3 replicas of blog are ready.
        No change was seen in the 6h before the incident.
        """,
    ),
)
