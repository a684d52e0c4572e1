"""The analysis: what the reader gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from agent_sre.analysis.llm.model import ServedModel
from agent_sre.evidence.evidence import Evidence, Gap
from agent_sre.finding.finding import Confidence, Hypothesis

RULES = "rules"
"""The author of what was made without a model."""


class Horizon(StrEnum):
    """When to do something; the contract's five labels."""

    IMMEDIATE = "Immediate"
    SHORT_TERM = "Short-term"
    INVESTIGATION = "Investigation"
    LONG_TERM = "Long-term"
    PREVENTION = "Prevention"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """One thing to do. `command` comes from a template over names that were checked, never from a model."""

    id: str  # A1, A2, …
    horizon: Horizon
    text: str
    command: str = ""
    language: str = ""  # bash, promql, logql: the fence of `command`
    evidence_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InvestigationQuery:
    """A query to look further. `returned` says what it gave when it was run, or that it was not."""

    language: str
    text: str
    why: str
    returned: str
    ran_at: datetime | None = None  # None: it was not run


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """One analysis, by rules or by a model that was held to the evidence."""

    task_type: str
    title: str
    observations: tuple[str, ...]
    root_cause: str
    impact: str
    hypotheses: tuple[Hypothesis, ...]
    recommendations: tuple[Recommendation, ...]
    investigation_queries: tuple[InvestigationQuery, ...]
    evidence: tuple[Evidence, ...]
    gaps: tuple[Gap, ...]
    confidence: Confidence
    confidence_reason: str
    author: str  # RULES, or the model's name
    author_note: str  # why it was this author: "Ollama did not answer in time", …
    timings: Mapping[str, float]  # seconds by stage
    tokens: Mapping[str, int]  # input, output
    markdown: str
    ruled_out: tuple[Hypothesis, ...] = ()  # thought of, and why not: in `doubts`
    chain: tuple[str, ...] = ()  # from the source to the symptom, a sentence each, with citations
    next_check: str = ""  # what would tell most, where the cause is not sure
    model: ServedModel | None = None  # which model had a say: its digest, the server's version; None for the rules alone
    prompt_version: str = ""  # of what the model was told; empty where it was not asked or its answer not used
    missing: tuple[str, ...] = ()  # kinds of data that the model would have liked: "logs", "traces", …

    @property
    def mitigation_steps(self) -> tuple[Recommendation, ...]:
        return tuple(item for item in self.recommendations if item.horizon in (Horizon.IMMEDIATE, Horizon.SHORT_TERM))

    @property
    def prevention(self) -> tuple[Recommendation, ...]:
        return tuple(item for item in self.recommendations if item.horizon in (Horizon.LONG_TERM, Horizon.PREVENTION))
