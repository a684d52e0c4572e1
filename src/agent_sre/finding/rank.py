"""From findings and usual causes to hypotheses in order: what was seen comes first, and lifts or lowers what is only usual.

    findings that name a cause ──same cause and object as one──explained away──┐
    playbook causes ──prior by place──┐                                        ├──> Hypothesis H1, H2, … (best first)
    findings with a `clue` ───────────┴────────────────────────────────────────┘

Findings of one cause about one object add up: 1 - (1 - w1)(1 - w2)…. What is explained by the trouble of another object that is itself a
hypothesis (`Finding.explained_by`) keeps only what the other leaves open. So does what a workload shows while running, where it cannot start.

A usual cause that was seen (`Cause.same_as`) is not told a second time: the seen one takes its place. `clue` among a finding's facts is a
token of CLUES: usual causes that its first pattern finds gain, those that its second finds lose.

Findings without evidence ids move nothing: a hypothesis must be able to say what it rests on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from agent_sre.alert.subject import Subject, workload_of
from agent_sre.evidence.playbook import PlaybookCause
from agent_sre.finding.cause import causes, told
from agent_sre.finding.finding import Finding, Hypothesis, object_name
from agent_sre.finding.weights import EXPLAINED, HIGHEST_SEEN, INCONCLUSIVE, JUST_BEHIND, LAST_RESORT, LOWEST, STAGE_OF_FIELD, STARTED, STARTED_LATER

MOST_HYPOTHESES = 6
"""As many as a small model can choose among, and more than anybody checks at night."""

_FIRST_PRIOR = 0.5
_PRIOR_STEP = 0.75  # each next cause of a playbook is three quarters as usual as the one before
_GAIN = 1.6
_LOSS = 0.5
_HIGHEST = 0.9  # what is only usual is never surer than that


@dataclass(frozen=True, slots=True, kw_only=True)
class Clue:
    """Which causes, by the words of their sentence, a clue speaks for and against."""

    supports: re.Pattern[str]
    contradicts: re.Pattern[str] | None = None


def _clue(supports: str, contradicts: str = "") -> Clue:
    return Clue(
        supports=re.compile(supports, re.IGNORECASE),
        contradicts=re.compile(contradicts, re.IGNORECASE) if contradicts else None,
    )


CLUES: Mapping[str, Clue] = {
    # shapes of the alert's own curve
    "steady_growth": _clue(r"\bleak|\bgrow|never (?:closed|deleted|given back)|without a plan", r"\bburst\b|\bspike|sudden|short bursts"),
    "jump": _clue(r"\bburst\b|\bspike|sudden|\btraffic\b|retry storm|batch|\bjob\b", r"\bleak|ordinary growth|slowly"),
    "flapping": _clue(r"threshold|too (?:strict|tight)|from time to time|short bursts|flap|intermittent"),
    "recurring": _clue(r"threshold|from time to time|\bschedule|\bcron|periodic|every (?:day|night|week)"),
    # words of a scrape error
    "connection_refused": _clue(
        r"crash|not running|does not run|ended|restart|\bport\b|\bdown\b|is gone|stopped|killed",
        r"credential|certificate|overload|\bslow\b",
    ),
    "dns_failure": _clue(r"\bDNS\b|resolve|\bname\b|removed|renamed", r"credential|certificate|overload|crash"),
    "tls_failure": _clue(r"certificate|\bTLS\b|x509", r"crash|overload|\bDNS\b|not running"),
    "no_access": _clue(r"credential|\btoken\b|\blogin\b|\bauth|RBAC|rights|permission", r"crash|overload|\bDNS\b|not running"),
    "not_found": _clue(r"\bpath\b|address|endpoint|moved|renamed", r"crash|overload|credential|not running"),
    "server_error": _clue(r"\berror|\bfails|\bbug\b|broken", r"not running|\bDNS\b|certificate"),
    "no_route": _clue(r"network|firewall|\bnode\b|machine|polic", r"credential|certificate|\bpath\b"),
    "scrape_timeout": _clue(r"slow|overload|hang|network|firewall|polic|too (?:large|many)", r"credential|certificate|not running"),
    "connection_reset": _clue(r"crash|restart|proxy|load balancer|overload", r"credential|\bDNS\b"),
    "bad_metrics": _clue(r"limit|metric|format|label|series|sample", r"crash|network|not running|\bDNS\b"),
    "not_scraped": _clue(r"removed|deleted|renamed|scaled|discovery|selector|ServiceMonitor|configuration|\bgone\b", r"overload|certificate"),
    # what else is ill
    "sick_node": _clue(r"\bnodes?\b|machine|host\b|kubelet", r"\bleak|wrong (?:image|tag|port|password|configuration)"),
    "one_workload": _clue(r"image|rollout|version|configuration|release|deploy|change", r"\bnode\b|machine|\bnetwork partition"),
    "rule_error": _clue(r"\brule\b|expression|threshold"),
}
"""By token. Patterns read the sentences of playbook causes; tests/finding/test_rank.py shows for each what it moves."""


def rank(usual_causes: Sequence[PlaybookCause], findings: Sequence[Finding], subject: Subject) -> tuple[Hypothesis, ...]:
    """Hypotheses, best first, at most six, with ids H1, H2, … in that order. Equal scores keep the playbook's order.

    `usual_causes` are filled in, most usual first.
    """
    usual = _usual(usual_causes, findings, subject)
    seen = [_joined(item, usual, subject) for item in _with_last_resort(seen_causes(findings)) if not set_aside(item)]
    usual = _behind(max((item.score for item in seen), default=0.0), usual)
    best_first = sorted([*seen, *usual], key=lambda item: -item.score)
    return tuple(replace(item, id=f"H{number}") for number, item in enumerate(best_first[:MOST_HYPOTHESES], 1))


def _with_last_resort(seen: Sequence[Hypothesis]) -> list[Hypothesis]:
    """What is seen of almost every trouble names it where nothing else does."""
    if any(item.score >= INCONCLUSIVE for item in seen):
        return list(seen)
    last = next((item for item in seen if causes()[item.name].is_last_resort), None)
    return [replace(item, score=max(item.score, LAST_RESORT)) if item is last else item for item in seen]


def _behind(best: float, usual: Sequence[Hypothesis]) -> list[Hypothesis]:
    """Usual causes behind the best one that was seen, where it is worth a name at all: being usual is no sight."""
    share = min(1.0, best * JUST_BEHIND / _FIRST_PRIOR) if best >= INCONCLUSIVE else 1.0
    return [item if item.supporting else replace(item, score=_bounded(item.score * share)) for item in usual]


def set_aside(hypothesis: Hypothesis) -> bool:
    """Whether it is only a consequence of another: told among what was ruled out."""
    return bool(hypothesis.explained_by) and hypothesis.score < INCONCLUSIVE


def seen_causes(findings: Sequence[Finding]) -> tuple[Hypothesis, ...]:
    """One hypothesis for each cause and object that findings name, best first, all of them, without ids. Equal scores keep their order."""
    groups: dict[_Key, list[Finding]] = {}
    for finding in findings:
        if finding.cause in causes() and finding.evidence_ids:
            groups.setdefault((finding.cause, object_name(finding.subject), finding.subject.namespace), []).append(finding)
    strength = {key: _together(group) for key, group in groups.items()}
    explainers = {key: _explainers(group) for key, group in groups.items()}
    blame: dict[_Place, float] = {}  # by object: how surely something is wrong with it
    first_stage: dict[_Place, dict[int, float]] = {}  # by object: how surely it was stopped at each stage of its life
    explained_by: dict[_Place, set[_Place]] = {}
    for (cause, *_), place, score in ((key, key[1:], score) for key, score in strength.items()):
        blame[place] = max(blame.get(place, 0.0), score)
        stages = first_stage.setdefault(place, {})
        stages[_stage(cause)] = max(stages.get(_stage(cause), 0.0), score)
        explained_by.setdefault(place, set()).update(explainers[cause, *place])
    hypotheses = []
    for key, group in groups.items():
        place = key[1:]
        deeper = {known for known in blame for wanted in explainers[key] if _is_same(known, wanted)}
        # of two that could explain each other the surer one does
        others = [(blame[known], known[0]) for known in deeper if _may_explain(known, place, blame, explained_by)]
        explained, by = max((*others, *((share, place[0]) for share in _earlier(key, first_stage[place]))), default=(0.0, ""))
        hypotheses.append(_seen(key, group, strength[key] * (1 - explained), by if explained > EXPLAINED else ""))
    return tuple(sorted(hypotheses, key=lambda item: -item.score))


_Place = tuple[str, str]  # name of the object, namespace
_Key = tuple[str, str, str]  # cause, name of the object, namespace


def _is_same(one: _Place, other: _Place) -> bool:
    """The same names run in many namespaces (staging, production), so those count; curves often do not say theirs."""
    return one[0] == other[0] and (one[1] == other[1] or not one[1] or not other[1])


def _together(findings: Sequence[Finding]) -> float:
    left = 1.0
    for finding in findings:
        left *= 1 - min(max(finding.weight, 0.0), 1.0)
    return 1 - left


def _explainers(findings: Sequence[Finding]) -> frozenset[_Place]:
    return frozenset((object_name(subject), subject.namespace) for finding in findings for subject in finding.explained_by)


def _may_explain(place: _Place, other: _Place, blame: Mapping[_Place, float], explained_by: Mapping[_Place, set[_Place]]) -> bool:
    mutual = any(_is_same(wanted, other) for wanted in explained_by.get(place, ()))
    return not _is_same(place, other) and (not mutual or blame[place] > blame[other])


def _earlier(key: _Key, stages: Mapping[int, float]) -> Iterator[float]:
    """How much the trouble that stops the same object earlier in its life leaves unexplained of this one."""
    stage = _stage(key[0])
    if stage >= STARTED:
        yield from (score * STARTED_LATER for earlier, score in stages.items() if earlier < STARTED)


def _stage(cause: str) -> int:
    return STAGE_OF_FIELD.get(causes()[cause].field, STARTED)


def _seen(key: _Key, findings: Sequence[Finding], score: float, explained_by: str) -> Hypothesis:
    strongest = max(findings, key=lambda finding: finding.weight)
    sentence, check, _ = told(causes()[key[0]], strongest)
    doubts = [finding.against for finding in findings if finding.against]
    if explained_by:
        doubts.insert(0, "it cannot start at all" if explained_by == key[1] else f"what is wrong with {explained_by} explains it")
    return Hypothesis(
        id="",
        cause=sentence,
        subject=strongest.subject,
        score=_bounded(score, HIGHEST_SEEN),
        supporting=tuple(dict.fromkeys(evidence_id for finding in findings for evidence_id in finding.evidence_ids)),
        contradicting=(),
        check=check,
        name=key[0],
        reasons=tuple(dict.fromkeys(finding.summary for finding in findings)),
        doubts=tuple(dict.fromkeys(doubts)),
        explained_by=explained_by,
    )


def _usual(usual_causes: Sequence[PlaybookCause], findings: Sequence[Finding], subject: Subject) -> list[Hypothesis]:
    resting = [finding for finding in findings if finding.evidence_ids]
    return [_weighed(item, _FIRST_PRIOR * _PRIOR_STEP**place, resting, subject) for place, item in enumerate(usual_causes)]


def _joined(seen: Hypothesis, usual: list[Hypothesis], subject: Subject) -> Hypothesis:
    """The cause with what speaks for the usual one that it is, which leaves the list."""
    same = _same_cause(usual, seen, subject)
    if same is None:
        return seen
    usual.remove(same)
    return replace(seen, supporting=tuple(dict.fromkeys([*seen.supporting, *same.supporting])), rules_out=same.rules_out)


def _same_cause(usual: Sequence[Hypothesis], seen: Hypothesis, subject: Subject) -> Hypothesis | None:
    """The best of the usual causes that is this one. What was seen of another object says nothing about what is usual here."""
    words = causes()[seen.name].same_as
    if words is None or _workload(seen.subject) != _workload(subject):
        return None
    return max((item for item in usual if words.search(item.cause)), key=lambda item: item.score, default=None)


def _workload(subject: Subject) -> tuple[str, str]:
    return object_name(replace(subject, name=workload_of(subject.name))) if subject.kind == "Pod" else object_name(subject), subject.namespace


def _clue_of(finding: Finding) -> Clue | None:
    token = finding.facts.get("clue")
    return CLUES.get(token) if isinstance(token, str) else None


def _weighed(item: PlaybookCause, prior: float, findings: Sequence[Finding], subject: Subject) -> Hypothesis:
    score = prior
    supporting: list[str] = []
    contradicting: list[str] = []
    for finding in findings:
        clue = _clue_of(finding)
        if clue is None:
            continue
        if clue.supports.search(item.cause):
            score *= _GAIN
            supporting += finding.evidence_ids
        elif clue.contradicts is not None and clue.contradicts.search(item.cause):
            score *= _LOSS
            contradicting += finding.evidence_ids
    return Hypothesis(
        id="",
        cause=item.cause,
        subject=subject,
        score=_bounded(score),
        supporting=tuple(dict.fromkeys(supporting)),
        contradicting=tuple(dict.fromkeys(contradicting)),
        check=item.check,
        rules_out=item.rules_out,
    )


def _bounded(score: float, highest: float = _HIGHEST) -> float:
    # written so that NaN, which no comparison finds, becomes the lowest
    return round(score, 4) if LOWEST <= score <= highest else highest if score > highest else LOWEST
