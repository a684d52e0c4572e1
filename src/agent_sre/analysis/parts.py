"""What every analysis by rules is made of: quotes, recommendations, queries. `rules` and `advice` put them together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from agent_sre.analysis.analysis import Analysis, Horizon, InvestigationQuery, Recommendation
from agent_sre.analysis.markdown import to_markdown
from agent_sre.evidence.evidence import Evidence, EvidenceSet, Gap
from agent_sre.evidence.playbook import PlaybookQuery, PlaybookStep
from agent_sre.evidence.suggested import MOST_SUGGESTED, SUGGESTED, normal
from agent_sre.kit.redact import redact
from agent_sre.kit.text import one_line

FEWEST_RECOMMENDATIONS = 3
MOST_RECOMMENDATIONS = 5

_CITATION = re.compile(r"\[([EHA]\d{1,4})\]")
_ORDER = tuple(Horizon)
_TURN = {"value": 0, SUGGESTED: 1}  # kinds of query that are told first
_PASSING = frozenset({"timeout", "unavailable", "circuit_open", "rate_limited", "forbidden", "garbage"})
"""Reasons that say nothing about the query: asked again, or by somebody else, it may well give something."""

_ALWAYS_GOOD = (
    PlaybookStep(horizon=Horizon.IMMEDIATE.value, text="Find out whether users feel it, and since when: that decides how fast you must be."),
    PlaybookStep(horizon=Horizon.INVESTIGATION.value, text="Look for what changed, and for what else fires, in the minutes before it began."),
    PlaybookStep(horizon=Horizon.PREVENTION.value, text="Write down what it was and how you saw it, for the next reader."),
)
"""Steps for a playbook of one's own that has fewer than three."""


def said(text: str, limit: int = 200) -> str:
    """Somebody else's words, fit to stand in a sentence of ours: one line, no secrets, and no `[E02]` that we did not write."""
    # redacted before it is cut, because half a secret is none that a rule would know
    line = _CITATION.sub(r"(\1)", redact(one_line(text, limit * 2)))
    return line if len(line) <= limit else f"{line[:limit]}…(+{max(len(line), len(text)) - limit})"


def utc(instant: datetime) -> str:
    """`2026-11-23 06:40:11 UTC`."""
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def cited(text: str, evidence_ids: Sequence[str]) -> str:
    """A sentence with its evidence behind it: `fired 3 times before [E05]`."""
    return " ".join([text, *(f"[{evidence_id}]" for evidence_id in evidence_ids)])


def recommendations_of(
    steps: Sequence[PlaybookStep], *, first: Sequence[PlaybookStep] = (), evidence_ids: Sequence[str] = ()
) -> tuple[Recommendation, ...]:
    """Three to five recommendations, A1 to A5, soonest horizon first.

    `steps` are filled in. `first` are steps that the evidence (`evidence_ids`) asks for: they go in front of others of their horizon and
    are never left out. Of too many, a later one of a horizon that occurs twice goes first; too few are made up by what is always good advice.
    """
    chosen = list(dict.fromkeys([*first, *(step for step in steps if _horizon(step) is not None)]))
    for spare in _ALWAYS_GOOD:
        if len(chosen) < FEWEST_RECOMMENDATIONS and spare not in chosen:
            chosen.append(spare)
    while len(chosen) > MOST_RECOMMENDATIONS:
        horizons = [step.horizon for step in chosen]
        later = range(len(first), len(chosen)) if len(first) < len(chosen) else range(len(chosen))
        twice = [place for place in later if horizons.count(horizons[place]) > 1]
        del chosen[twice[-1] if twice else later[-1]]
    chosen.sort(key=lambda step: _ORDER.index(Horizon(step.horizon)))
    return tuple(
        Recommendation(
            id=f"A{number}",
            horizon=Horizon(step.horizon),
            text=step.text,
            command=step.command,
            language=step.language if step.command else "",
            evidence_ids=tuple(evidence_ids) if step in first else (),
        )
        for number, step in enumerate(chosen, 1)
    )


def _horizon(step: PlaybookStep) -> Horizon | None:
    return next((horizon for horizon in Horizon if horizon.value == step.horizon), None)


def queries_of(queries: Sequence[PlaybookQuery], evidence: EvidenceSet, *, not_run: str) -> tuple[InvestigationQuery, ...]:
    """Queries to look further, each once: what the alert measures, what the playbook suggests, what else was asked; all with what they gave.

    A suggested query that its server refuses, or that asks for what is not there, is no query to run: it is left out here, and the gaps say
    why. `not_run` says why nothing was run, where there is no evidence at all.
    """
    found: dict[str, InvestigationQuery] = {}
    for item in sorted(evidence.items, key=lambda item: _TURN.get(item.query.kind, len(_TURN))):
        if item.query.language:
            found.setdefault(normal(item.query.expression), _asked(item, cited(said(item.summary, 600), [item.id])))
    refused = {normal(gap.query.expression) for gap in evidence.gaps if gap.query.kind == SUGGESTED and gap.reason not in _PASSING}
    for gap in evidence.gaps:
        if gap.query.language and not (gap.query.kind == SUGGESTED and gap.reason not in _PASSING):
            found.setdefault(normal(gap.query.expression), _asked(gap, f"not run ({_clause(gap.detail)})"))
    for query in queries:
        if normal(query.text) not in refused:
            returned = f"not run ({_why_not(query.language, evidence) or not_run})"
            found.setdefault(normal(query.text), InvestigationQuery(language=query.language, text=query.text, why=query.why, returned=returned))
    return tuple(found.values())


def _why_not(language: str, evidence: EvidenceSet) -> str:
    """Why nobody ran a playbook's query; empty where the evidence does not tell."""
    if language == "bash":
        return "for a person to run"
    source = {"promql": "prometheus", "logql": "loki"}.get(language, "")
    asked = [item.query for item in evidence.items] + [gap.query for gap in evidence.gaps]
    off = next((_clause(gap.detail) for gap in evidence.gaps if gap.query.source == source and gap.query.kind == "off"), "")
    if off:
        return off
    if any(query.source == "bundle" for query in asked):
        return "a bundle has no server that could"
    if any(query.kind == SUGGESTED for query in asked):
        return f"only the first {MOST_SUGGESTED} of a playbook are"
    return "nothing here could run it" if asked else ""


def _clause(sentence: str) -> str:
    return said(sentence, 300).rstrip(".")


def _asked(item: Evidence | Gap, returned: str) -> InvestigationQuery:
    purpose = item.query.purpose
    return InvestigationQuery(
        language=item.query.language,
        text=item.query.expression,
        why=purpose[:1].upper() + purpose[1:],
        returned=returned,
        ran_at=item.collected_at if isinstance(item, Evidence) else None,
    )


def finished(analysis: Analysis) -> Analysis:
    """The analysis with its Markdown."""
    return replace(analysis, markdown=to_markdown(analysis))
