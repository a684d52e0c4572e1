"""More worlds, in the forms that packing prints. Written after the checker, so that their first figure was measured on sentences it had not seen."""

# ruff: noqa: E501 - lists of words and sentences, one thing a line
from __future__ import annotations

from analysis.grounding.worlds import World, make_world

PACKED: tuple[World, ...] = (
    make_world(
        "packed memory",
        "Alert KubeContainerOOMKilled on Pod shop/basket-6d4cf56db6-x8t2l. The container was killed because it used more memory than its limit.",
        """
        E01|06:10|metric container_memory_working_set_bytes{pod=basket-6d4cf56db6-x8t2l} now=498 MiB 1h_ago=212 MiB slope=+286 MiB per h limit=512 MiB
        E02|06:38|event OOMKilling x4 Pod shop/basket-6d4cf56db6-x8t2l from 06:12 to 06:38: Memory cgroup out of memory: Killed process 4711 (java)
        E03|06:38|Pod shop/basket-6d4cf56db6-x8t2l: CrashLoopBackOff, 4 restarts, last exit OOMKilled (137)
        E04|05:58|change rollout 05:58 (43 min before the alert): Deployment shop/basket rolled out revision 12 [- image: basket:4.1; + image: basket:4.2]
        E05||fired 3 times before in the last 7 d, last 3 h ago; lasted 10 min (median), 30 min at most
        """,
        """
        Memory usage of basket-6d4cf56db6-x8t2l increased from 212 MiB to 498 MiB in the last hour, approaching the limit of 512 MiB.
        The pod basket-6d4cf56db6-x8t2l is in CrashLoopBackOff with 4 restarts.
        Its last exit was OOMKilled (137).
        The container ran out of memory and was OOMKilled.
        Deployment basket rolled out revision 12 at 05:58, 43 min before the alert.
        The image was changed to basket:4.2 in revision 12.
        After the rollout of basket:4.2, memory of basket-6d4cf56db6-x8t2l rose to 498 MiB.
        The alert fired 3 times before in the last 7 days.
        """,
    ),
    make_world(
        "packed rollout",
        "Alert HighErrorRate on Service shop/checkout. The rollout of checkout broke it.",
        """
        E02|14:07|metric http_requests_errors_ratio{service=checkout} now=38 % usual=0.4 %
        E03|14:05|change rollout 14:05 (6 min before the alert): Deployment shop/checkout rolled out revision 31 by ci-bot
        E04|14:06|log new error of Deployment shop/checkout count=940 before=0 first 14:06: TypeError: cannot read properties of undefined (reading <str>)
        E05||calls checkout→payments, checkout→cart
        E06|14:07|metric http_request_duration_seconds_p99{service=checkout} now=310 ms usual=290 ms
        """,
        """
        The error ratio of checkout rose to 38 %, where 0.4 % is usual.
        Errors of checkout increased from 0.4% to 38%.
        Revision 31 of the Deployment checkout was rolled out by ci-bot at 14:05.
        The Deployment checkout logged 940 new errors since 14:06.
        The log error "cannot read properties of undefined" is new and was counted 940 times.
        checkout calls payments and cart.
        The error ratio of checkout increased after the rollout of revision 31.
        The p99 duration of checkout is 310 ms and usually 290 ms.
        """,
    ),
    make_world(
        "packed target",
        "Alert TargetDown on instance b:80. The target hangs or packets are dropped.",
        """
        E01|06:35|1 of 3 targets down; b:80 down since 06:35:00Z
        E02|06:35|target b:80: Get http://b/metrics: context deadline exceeded
        """,
        """
        1 of 3 targets is down.
        The target b:80 has been down since 06:35.
        The target b:80 timed out.
        """,
    ),
    make_world(
        "packed node",
        "Alert KubeNodeNotReady on Node worker-3. The node is lost.",
        """
        E01|09:12|Node worker-3: NotReady since 09:12, NodeStatusUnknown: Kubelet stopped posting node status
        E02|09:13|All 4 affected objects are on Node worker-3
        E03|09:17|event TaintManagerEviction x6 Pod shop/cart-0 from 09:17 to 09:19: Marking for deletion Pod shop/cart-0
        E04||May be a symptom of KubeNodeNotReady about Node worker-3 (INC-3), which is open as well
        """,
        """
        Node worker-3 is NotReady since 09:12.
        The kubelet of worker-3 stopped posting node status.
        All 4 affected objects are on node worker-3.
        worker-3 has not been ready since 09:12.
        This may be a symptom of KubeNodeNotReady about worker-3.
        """,
    ),
    make_world(
        "packed threshold",
        "Alert QueueTooLong on queue orders-in. More comes in than is worked off.",
        """
        E01|11:50|value is 12,400 (threshold > 5,000, crossed 11:50:00Z, 12 min before the alert), was 1,100 one hour ago
        E02||148 % above its threshold, still rising, after a steady climb
        E03|11:45|Deployment shop/worker: 2 of 6 ready
        E04|11:45|event FailedScheduling x9 Pod shop/worker-7d5b9c-qq2vd from 11:45 to 12:00: 0/5 nodes are available: 5 Insufficient memory
        """,
        """
        The value is 12,400, above its threshold of 5,000.
        It crossed the threshold at 11:50, 12 min before the alert.
        The value rose from 1,100 one hour ago to 12,400.
        It is 148 % above its threshold and still rising.
        2 of 6 pods of worker are ready.
        worker-7d5b9c-qq2vd cannot be scheduled: 0/5 nodes are available because of insufficient memory.
        Scheduling of worker-7d5b9c-qq2vd failed 9 times.
        """,
    ),
    make_world(
        "packed odd one out",
        "Alert HighMemory on Pod obs/ingest-2. One pod needs more than its siblings.",
        """
        E01||ingest-2 is the odd one out: 245 MiB, the median of the 4 others is 92 MiB; 1 of 5 break the threshold
        E02||request rate of ingest-2 is 7/s (was 7/s); most unusual of 101 neighbours: db-0 is 90/s (was 10/s)
        E03||no error line in the log of the pod since 06:11:10Z
        """,
        """
        ingest-2 is the odd one out with 245 MiB.
        The median of the 4 others is 92 MiB.
        1 of 5 break the threshold.
        The request rate of db-0 rose from 10/s to 90/s.
        The log of the pod has no error line since 06:11.
        The request rate of ingest-2 is 7/s.
        """,
    ),
    make_world(
        "packed dns",
        "Alert DNSErrors on Service kube-system/kube-dns. The upstream name server does not answer.",
        """
        E01|17:20|log new error of Deployment kube-system/coredns count=2,310 before=12 first 17:20: [ERROR] plugin/errors: 2 <str>. A: read udp <ip>-><ip>: i/o timeout
        E02|17:21|metric coredns_forward_healthcheck_broken_total now=44 1h_ago=0
        E03|17:22|Service shop/web fails with "no such host: api.partner.example", 88 lines
        """,
        """
        coredns logged 2,310 errors with an i/o timeout since 17:20.
        The count of these errors rose from 12 to 2,310.
        web fails with "no such host".
        The broken health checks of the forward plugin rose from 0 to 44.
        """,
    ),
    make_world(
        "packed certificate",
        "Alert CertManagerCertNotReady on Certificate edge/api-cert. It could not be renewed.",
        """
        E01|08:00|Certificate edge/api-cert: not Ready (Failed): The certificate request has failed to complete and will be retried: order is invalid
        E02||The certificate api-cert ran out at 2026-11-24 23:59 UTC
        E03|08:01|log new error of Pod edge/haproxy-1 count=77 before=0 first 00:00: SSL handshake failure: certificate has expired
        """,
        """
        The certificate api-cert ran out on 2026-11-24 at 23:59 UTC.
        The Certificate api-cert is not ready: the order is invalid.
        haproxy-1 logged 77 SSL handshake failures because the certificate has expired.
        The certificate request failed to complete.
        """,
    ),
    make_world(
        "packed throttling",
        "Alert CPUThrottlingHigh on Pod pay/ledger-5f7d9c8b7-ptx2n. The CPU limit is too low.",
        """
        E01|10:00|metric container_cpu_cfs_throttled_ratio{pod=ledger-5f7d9c8b7-ptx2n} now=62 % usual=4 %
        E02|10:00|metric container_cpu_usage_seconds_rate{pod=ledger-5f7d9c8b7-ptx2n} now=0.49 cores limit=0.5 cores
        E03|10:02|metric request_latency_p95{service=ledger} now=1.4 s usual=0.2 s
        E04|09:40|change scale 09:40: Deployment pay/ledger was scaled from 6 to 2 replicas
        """,
        """
        The pod ledger-5f7d9c8b7-ptx2n is throttled 62 % of the time, usually 4 %.
        CPU throttling of ledger-5f7d9c8b7-ptx2n rose from 4 % to 62 %.
        Its CPU usage is 0.49 cores, close to the limit of 0.5 cores.
        ledger was scaled from 6 to 2 replicas at 09:40.
        The p95 latency of ledger rose to 1.4 s after CPU throttling rose to 62 %.
        ledger is slow, with a p95 latency of 1.4 s compared to 0.2 s usually.
        CPU throttling increased after the Deployment ledger was scaled from 6 to 2 replicas.
        """,
    ),
    make_world(
        "packed backend",
        "Alert HAProxyBackendDown on backend pool-a. No server of the backend is up.",
        """
        E01|21:00|metric haproxy_backend_active_servers{backend=pool-a} now=0 1h_ago=3
        E02|20:59|Pod web/app-0: Pending, FailedMount: secret "app-tls" not found
        E03|20:58|change config 20:58: Secret web/app-tls was deleted by carol
        E04|20:59|Pod web/app-1: Running on worker-5, ready
        """,
        """
        The active servers of backend pool-a fell from 3 to 0.
        The secret "app-tls" was not found.
        app-0 is pending with FailedMount.
        Secret app-tls was deleted by carol at 20:58.
        app-0 is Pending because the secret "app-tls" was not found.
        app-1 is running on worker-5 and is ready.
        """,
    ),
)
