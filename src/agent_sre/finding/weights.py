"""Every number that decides a verdict, with its reason. Weights are between 0 and 1: how surely a sight means its cause.

One section per field of trouble. A weight is not the share of cases in some collection: it says how much else could look like that. Sights
of one cause about one object add up (rank.py), so that two weak ones that agree are worth one strong.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

# General

STATED = 0.95
"""A component of the cluster says in so many words what hinders it: the scheduler's message, the kubelet's reason, a unit that is dead."""

PROVED = 0.9
"""Two objects contradict each other, and both were seen: a selector that matches no node, a quota that is used up where one was refused."""

LIKELY = 0.6
"""The sight has one usual reason and a few unusual ones."""

POSSIBLE = 0.35
"""The sight fits, and so do others. Alone it is below what anybody should act on."""

HINT = 0.15
"""Enough to order what else is equal."""

# Ranking

HIGHEST_SEEN = 0.99
"""What was seen is never certain: evidence may be stale, and two components may lie alike."""

LOWEST = 0.02
"""Below this nothing is told apart; a hypothesis that is explained away keeps as much."""

STARTED_LATER = 0.8
"""Of a workload that cannot start, this share of what is wrong with the running of it is a consequence: a container that never ran fails
its probe, answers nobody and has no endpoints. Not all of it: the old pods of a rollout do run."""

STAGE_OF_FIELD: Mapping[str, int] = {
    "nodes": 0, "quotas": 1, "scheduling": 2, "storage": 2, "images": 3, "configuration": 3,
    "resources": 5, "data-stores": 5, "probes": 5, "network": 5, "services": 5, "changes": 5,
}  # fmt: skip
"""How early in a pod's life a field of trouble stops it: admitted, scheduled, mounted, pulled, created, run. Those of one stage do not
explain each other."""

STARTED = 5
"""From this stage on the container has run."""

FRESH = timedelta(minutes=20)
"""What began this long before the alert may have raised it: alerts wait (`for`), fetch intervals add up, and a retry shows late."""

AGE_WEIGHTS: tuple[tuple[timedelta, float], ...] = ((timedelta(hours=2), 0.8), (timedelta(days=1), 0.5))
"""What began longer ago counts less: it was so while all was well. Never nothing: some trouble waits for load."""

OLDEST_WEIGHT = 0.3
"""What began more than a day before the alert is mostly how this system always is."""

# Confidence

SURE_SCORE = 0.85
"""A first cause below this is not told with high confidence."""

CLEAR_LEAD = 1.2
"""The first cause must outweigh the second by this much before anybody calls it likely."""

SURE_LEAD = 1.3
"""…and by this much before anybody calls it sure: two causes that are nearly as strong may both be so, but which one the alert means is open."""

INCONCLUSIVE = 0.25
"""A first cause below this is not worth a name: the verdict is inconclusive and says what to look at."""

# Quotas

QUOTA_FULL = 0.3
"""A quota that is used up refuses nothing by itself: many are cut to fit. Something must be missing."""

REFUSED_BEFORE = 0.3
"""A refusal after which all the pods came: somebody made room."""

# Nodes and control plane

HEARTBEAT_LOST = 0.8
"""A kubelet that stopped posting is dead, or its node is, or the network between: the first is the most usual, and the steps are the same."""

DISABLED_UNIT = 0.4
"""A unit that is off and disabled may be off on purpose."""

UNSCHEDULED_IN_SILENCE = 0.75
"""A scheduler that runs writes an event within a second for each pod that it cannot place. An API that lost events would look the same."""

# Replicas

ZERO_BY_PLAN = 0.3
"""Nobody seems to call it: it may be switched off on purpose."""

# Networks of nodes

RETRANSMISSION_FLOOR = 2.0
"""Retransmitted segments per second. A node with a few hundred connections has less than one."""

RETRANSMISSION_RISE = 4.0
"""Times what it was, and times what the other nodes have: retransmissions come in bursts."""

REPORTED_LOSS = 0.7
"""Another detector says so of this node and of no other more."""

SLOW_RISE = 3.0
"""Times the usual latency. A delay on the way adds tens of milliseconds to answers that take a few."""

SLOW_FLOOR_SECONDS = 0.005
"""A rise below that is jitter."""

SLOW_PODS_LEAST = 3
"""Of fewer workloads on a node, or elsewhere, all may be slow for the sake of one that they call."""

SLOW_MOST_ELSEWHERE = 0.5
"""Callers of a slow node are slow too, so some elsewhere are."""

SLOW_ALIKE = 0.1
"""The smallest rise on the node against the largest: a delay adds the same to each call, and workloads make one to a few each."""

SLOW_TOGETHER = 0.8
"""All of a node slow alike, and few elsewhere: little but its network does that; a full processor would show itself."""
