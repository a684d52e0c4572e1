"""What fills up, and when it will be full: volumes, file systems, memory against its limit; and processors held back by a limit.

Reads shares from 0 to 1 (signal "saturation"), whose metric or labels say of what.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from agent_sre.alert.subject import Subject, workload_of
from agent_sre.finding.finding import Finding
from agent_sre.finding.statistics import MOST, median
from agent_sre.finding.weights import FILLING as W
from agent_sre.finding.world import Curve, World
from agent_sre.kit.text import one_line

_DISK = re.compile(r"volume|filesystem|disk|fs_|inode", re.IGNORECASE)
_THROTTLED = re.compile(r"throttl", re.IGNORECASE)
_MEMORY = re.compile(r"mem", re.IGNORECASE)


class Filling:
    """Reads curves of shares: how full, and how fast."""

    name = "filling"

    def detect(self, world: World) -> Iterable[Finding]:
        for curve in world.curves:
            if curve.signal != "saturation" or not (subject := _subject(curve)):
                continue
            points = [(at, value * curve.factor) for at, value in curve.points if 0 <= at < MOST and 0 <= value * curve.factor <= W.fullest]
            if len(points) < W.fewest_points:
                continue
            what = f"{curve.metric} {' '.join(curve.labels)}"
            if _THROTTLED.search(what):
                yield from self._throttled(curve, points, subject)
            else:
                yield from self._filling(curve, points, subject, what)

    def _filling(self, curve: Curve, points: Sequence[tuple[float, float]], subject: Subject, what: str) -> Iterable[Finding]:
        last = median(sorted(value for _, value in points[-3:]))
        seconds = time_left(points)
        soon = seconds is not None and seconds <= W.soon_seconds
        if last < W.nearly_full and not (soon and last >= W.worth_a_look):
            return
        disk = bool(_DISK.search(what)) or "persistentvolumeclaim" in curve.labels or "mountpoint" in curve.labels
        if not disk and not _MEMORY.search(what):
            return
        left = f"at this rate full in {seconds / 60:.0f} min" if soon and seconds is not None else "and does not rise steadily"
        yield Finding(
            detector=self.name,
            summary=one_line(f"{subject.name} is {last:.0%} full, {left}", 300),
            subject=subject,
            facts={
                "share": round(last, 4),
                "seconds_left": round(seconds) if soon and seconds is not None else None,
                "mountpoint": curve.labels.get("mountpoint", ""),
            },
            evidence_ids=(curve.evidence_id,),
            cause="disk_filling" if disk else "memory_growth",
            weight=W.full if last >= W.full_from else W.filling if soon else W.high,
            against="a share that has been this high for days is no news",
        )  # fmt: skip

    def _throttled(self, curve: Curve, points: Sequence[tuple[float, float]], subject: Subject) -> Iterable[Finding]:
        last = median(sorted(value for _, value in points[-3:]))
        if last >= W.throttled_from:
            yield Finding(
                detector=self.name,
                summary=one_line(f"{subject.name} is held back by its CPU limit in {last:.0%} of all periods", 300),
                subject=subject,
                facts={"share": round(last, 4)},
                evidence_ids=(curve.evidence_id,),
                cause="cpu_throttling",
                weight=W.throttled,
                against="a batch that may take its time can be held back and do no harm",
            )


def time_left(points: Sequence[tuple[float, float]]) -> float | None:
    """Seconds until a share reaches 1 at the pace of its last half; None where it does not rise steadily.

    The pace is that between the medians of two quarters, so that one odd point decides nothing.
    """
    if len(points) < 8:
        return None
    quarter = len(points) // 4
    quarters = [points[-(place + 1) * quarter : len(points) - place * quarter] for place in (2, 1, 0)]
    levels = [median(sorted(value for _, value in part)) for part in quarters]
    middles = [median([at for at, _ in part]) for part in quarters]
    if not levels[0] < levels[1] < levels[2] or middles[2] <= middles[0]:
        return None
    pace = (levels[2] - levels[0]) / (middles[2] - middles[0])
    return max(0.0, (1 - points[-1][1]) / pace) if pace * 86400 > W.least_a_day else None


def _subject(curve: Curve) -> Subject | None:
    labels = curve.labels
    namespace = labels.get("namespace", "")
    if claim := labels.get("persistentvolumeclaim"):
        return Subject(kind="PersistentVolumeClaim", name=claim, namespace=namespace)
    if (pod := labels.get("pod")) and (labels.get("container") or namespace):
        return Subject(kind="Deployment", name=workload_of(pod), namespace=namespace)
    if node := labels.get("node") or labels.get("instance"):
        return Subject(kind="Node", name=node, node=node)
    return Subject(kind="Service", name=labels["service"], namespace=namespace) if labels.get("service") else None
