"""The LangGraph machine: one run of it is one investigation, or one answer to a question.

    gather ──> diagnose ──> analyze ──> generate_recommendations ──> format_response
      │           │            │                   │                        │
    evidence    rules'       model's            actions in the           the analysis,
    and gaps    verdict,     verdict, or        model's order            as values and
                published    why there is none                           as Markdown

Checkpointed after every node (`durability="sync"`), so a killed process resumes at the unfinished one. The state holds ids and counts, because
every checkpoint is a whole copy of it; what the nodes make is in the store (artifacts.py), what they need is in the context.

Import this module only after `environment.prepare()`; loading LangGraph takes about two seconds, so nothing on the way to the webhook does.
"""

from __future__ import annotations

import asyncio
import operator
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from agent_sre.alert.subject import describe
from agent_sre.analysis.agreement import Agreement, agree
from agent_sre.analysis.analysis import Analysis, Recommendation
from agent_sre.analysis.artifacts import (
    load_analysis,
    load_artifact,
    load_diagnosis,
    load_evidence,
    save_analysis,
    save_artifact,
    save_diagnosis,
    save_evidence,
)
from agent_sre.analysis.grounding import Grounded, ground
from agent_sre.analysis.llm import metrics
from agent_sre.analysis.llm.model import Budget, Completion, LanguageModel, ModelFailed
from agent_sre.analysis.llm.pace import Pace, Plan
from agent_sre.analysis.llm.tokens import estimate_tokens
from agent_sre.analysis.markdown import to_markdown
from agent_sre.analysis.packing import Packed, pack
from agent_sre.analysis.parts import cited, said
from agent_sre.analysis.prompts import ROLE, SYSTEM_PROMPTS, text_prompt
from agent_sre.analysis.rules import rules_analysis, text_analysis
from agent_sre.analysis.verdict import Refused, Verdict, read_verdict, verdict_schema
from agent_sre.evidence.board import Board
from agent_sre.evidence.derived import with_changes
from agent_sre.evidence.evidence import EvidenceSet, EvidenceSource
from agent_sre.evidence.gather import Circuits, gather
from agent_sre.evidence.playbook import Playbook
from agent_sre.evidence.playbook_derived import playbook_of
from agent_sre.finding.diagnose import diagnose
from agent_sre.finding.finding import Diagnosis, Hypothesis
from agent_sre.finding.story import separating_check
from agent_sre.incident.incident import Incident
from agent_sre.kit.clock import Clock
from agent_sre.kit.text import clean
from agent_sre.store.engine import Store

Publish = Callable[[Analysis], Awaitable[None]]
"""What to do with the preliminary analysis."""

WAITING_FOR_MODEL = "a model has not been heard yet"

_LEAST_TEXT = 60  # tokens; a free answer that must be shorter is not worth a call
_SHORTER = 0.6  # of the first prompt: what a second try may be long
_LEAST_PROMPT = 800
_MOST_REASONS = 3  # for sentences that were left out, in the author's note


class State(TypedDict, total=False):
    """The checkpointed state. Small and free of untrusted text."""

    run_id: str
    task_type: str
    evidence_count: int
    gap_count: int
    cause: str
    author: str
    timings: Annotated[dict[str, float], operator.or_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What every run uses."""

    store: Store
    clock: Clock
    sources: Sequence[EvidenceSource]
    circuits: Circuits
    playbooks: Sequence[Playbook]
    model: LanguageModel
    gather_deadline: timedelta
    deadline_by_source: Mapping[str, timedelta]
    board: Board
    model_budget: Budget
    pace: Pace


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What one run is about. Given anew at every (re)start, so nothing of it needs a checkpoint."""

    tools: Tools
    incident: Incident | None  # None: the task is a text
    message: str
    history: Sequence[tuple[str, str]] = ()
    skip_model: str = ""  # why the model is not to be asked; empty where it is
    publish: Publish | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """What came of the model's turn: a completion (with a verdict where ids were to be chosen), or the reason why there is none."""

    completion: Completion | None
    verdict: Verdict | None
    note: str
    summary: Grounded = field(default_factory=Grounded)
    impact: Grounded = field(default_factory=Grounded)
    prompt_version: str = ""


async def gather_node(state: State, runtime: Runtime[Context]) -> State:
    """Asks all sources side by side and keeps what they say, gaps included. Until the report is there, the board shows what has come.

    What an attempt has stored that was killed before its checkpoint is taken as it is: the evidence of a run never changes, so a report that
    was published over it cannot come to cite something else.
    """
    context, tools = runtime.context, runtime.context.tools
    started = tools.clock.monotonic()
    if context.incident is None:
        return {"evidence_count": 0, "gap_count": 0}
    run_id = state["run_id"]
    found = await tools.store.read(lambda connection: load_evidence(connection, run_id))
    if not found.items and not found.gaps:
        attempt = tools.board.begin(run_id, context.incident.id, tools.clock.now())
        found = await gather(
            context.incident,
            tools.sources,
            clock=tools.clock,
            deadline=tools.gather_deadline,
            deadline_by_source=tools.deadline_by_source,
            circuits=tools.circuits,
            on_plan=attempt.asks,
            on_result=attempt.got,
            playbook=playbook_of(context.incident.lead, tools.playbooks),
        )
        found = await asyncio.to_thread(with_changes, found, context.incident, tools.clock.now())
        gathered = found
        await tools.store.write(lambda connection: save_evidence(connection, run_id, gathered))
    return {
        "evidence_count": len(found.items),
        "gap_count": len(found.gaps),
        "timings": {"gather": tools.clock.monotonic() - started},
    }


async def diagnose_node(state: State, runtime: Runtime[Context]) -> State:
    """Lets the rules speak, and publishes what they say: from here on the reader has something."""
    context, tools = runtime.context, runtime.context.tools
    started = tools.clock.monotonic()
    run_id, incident = state["run_id"], context.incident
    if incident is None:
        # In a thread: 16 MB of log lines take seconds, and the webhook must answer meanwhile.
        analysis = await asyncio.to_thread(
            text_analysis,
            state["task_type"],
            context.message,
            facts={},
            author_note=WAITING_FOR_MODEL,
            now=tools.clock.now(),
            playbooks=tools.playbooks,
        )
        await tools.store.write(lambda connection: save_analysis(connection, run_id, "rules", analysis))
        return {"timings": {"diagnose": tools.clock.monotonic() - started}}
    evidence = await tools.store.read(lambda connection: load_evidence(connection, run_id))
    playbook = playbook_of(incident.lead, tools.playbooks)
    # In a thread: over a thousand curves this takes a good part of a second, and the webhook must answer meanwhile.
    diagnosis = await asyncio.to_thread(diagnose, incident, evidence, playbook)
    timings = {**state.get("timings", {}), "diagnose": tools.clock.monotonic() - started}
    analysis = rules_analysis(incident, diagnosis, playbook, author_note=WAITING_FOR_MODEL, timings=timings, now=tools.clock.now())

    def save(connection: Any) -> None:
        save_diagnosis(connection, run_id, diagnosis)
        save_analysis(connection, run_id, "rules", analysis)

    await tools.store.write(save)
    if context.publish is not None:
        await context.publish(analysis)
    tools.board.end(run_id)  # the report has it all
    return {"timings": timings}


async def analyze_node(state: State, runtime: Runtime[Context]) -> State:
    """Asks the model, a second time where its answer was unusable and time is left. Whatever goes wrong is a reason in the report."""
    context, tools = runtime.context, runtime.context.tools
    started = tools.clock.monotonic()
    run_id = state["run_id"]
    try:
        if context.skip_model:
            raise ModelFailed(context.skip_model, reason="busy")
        if context.incident is None:
            answer = await _answer_text(state, context)
        else:
            diagnosis = await tools.store.read(lambda connection: load_diagnosis(connection, run_id))
            rules = await _rules_of(tools, run_id)
            answer = await _choose(tools, context.incident, diagnosis, rules.recommendations)
    except ModelFailed as failure:
        answer = ModelAnswer(completion=None, verdict=None, note=f"{failure} ({failure.reason})")
    await tools.store.write(lambda connection: save_artifact(connection, run_id, "answer", ModelAnswer, answer))
    return {
        "cause": answer.verdict.cause if answer.verdict else "",
        "author": answer.completion.model if answer.completion else "",
        "timings": {"analyze": tools.clock.monotonic() - started},
    }


async def generate_recommendations_node(state: State, runtime: Runtime[Context]) -> State:
    """Puts the rules' recommendations into the order that the model chose. Code made them all; the model can neither add nor reword one."""
    tools = runtime.context.tools
    run_id = state["run_id"]
    rules = await _rules_of(tools, run_id)
    answer = await _answer_of(tools, run_id)
    chosen = answer.verdict.actions if answer.verdict else ()
    ordered = tuple(sorted(rules.recommendations, key=lambda item: chosen.index(item.id) if item.id in chosen else len(chosen)))
    await tools.store.write(lambda connection: save_artifact(connection, run_id, "recommendations", tuple[Recommendation, ...], ordered))
    return {}


async def format_response_node(state: State, runtime: Runtime[Context]) -> State:
    """Puts the final analysis together."""
    context, tools = runtime.context, runtime.context.tools
    run_id = state["run_id"]
    rules = await _rules_of(tools, run_id)
    answer = await _answer_of(tools, run_id)
    ordered = await tools.store.read(lambda connection: load_artifact(connection, run_id, "recommendations", tuple[Recommendation, ...]))
    analysis = replace(
        rules,
        recommendations=ordered or rules.recommendations,
        author_note=answer.note,
        timings={**rules.timings, **state.get("timings", {})},
    )
    analysis = _with_model(analysis, answer)
    if answer.completion is None or context.incident is not None:
        analysis = replace(analysis, markdown=to_markdown(analysis))
    await tools.store.write(lambda connection: save_analysis(connection, run_id, "analysis", analysis))
    return {"author": analysis.author}


async def _choose(tools: Tools, incident: Incident, diagnosis: Diagnosis | None, actions: Sequence[Recommendation]) -> ModelAnswer:
    """The model's choice among what the rules computed: one call, and a shorter second one where the first was unusable and time is left."""
    if diagnosis is None:
        raise ModelFailed("The diagnosis of this run is gone, so the model was not asked", reason="invalid")
    ends_at = tools.clock.monotonic() + tools.model_budget.total.total_seconds()
    plan = tools.pace.choose(tools.model_budget.total, num_ctx=tools.model.num_ctx)
    if plan is None:
        raise _no_time(tools, tools.model_budget.total)
    # In a thread, as all that reads the whole evidence: the webhook must answer meanwhile.
    packed = await asyncio.to_thread(pack, incident, diagnosis, actions, budget_tokens=plan.prompt_tokens)
    try:
        completion, verdict = await _ask(tools, plan, packed, ends_at)
    except ModelFailed as failure:
        left = timedelta(seconds=ends_at - tools.clock.monotonic())
        again = tools.pace.choose(left, num_ctx=tools.model.num_ctx) if failure.reason in ("invalid", "cut_off") else None
        if again is None:
            raise _in_words(tools, failure) from failure
        metrics.count_verdict("again")
        shorter = min(again.prompt_tokens, max(round(packed.tokens * _SHORTER), _LEAST_PROMPT))
        packed = await asyncio.to_thread(pack, incident, diagnosis, actions, budget_tokens=shorter, note=_told_to_model(failure))
        try:
            completion, verdict = await _ask(tools, again, packed, ends_at)
        except Refused as refused:
            raise _in_words(tools, refused) from refused
    return await asyncio.to_thread(_grounded, incident, diagnosis, packed, completion, verdict)


_FIELD = re.compile(r"\b[a-h]_([a-z]+)\b")


def _told_to_model(failure: ModelFailed) -> str:
    """Why it is asked again. Words of ours only: a server's message may hold its address or a piece of the answer."""
    if isinstance(failure, Refused):
        return f"Your last answer was not usable: {failure}."
    return "Your last answer was too long; write less." if failure.reason == "cut_off" else "Your last answer was empty."


def _in_words(tools: Tools, failure: ModelFailed) -> ModelFailed:
    if not isinstance(failure, Refused):
        return failure
    words = _FIELD.sub(r"its \1", str(failure))  # the names of the contract's fields are between the model and us
    return ModelFailed(f"{tools.model.title} gave an answer that cannot be used: {words}", reason=failure.reason)


async def _ask(tools: Tools, plan: Plan, packed: Packed, ends_at: float) -> tuple[Completion, Verdict]:
    """One call and its verdict. Raises ModelFailed. What the call took is learned, also where it failed."""
    started = tools.clock.monotonic()
    total = timedelta(seconds=ends_at - started)
    hypotheses, evidence, actions = packed.hypotheses, packed.evidence, packed.actions
    cut_off = False
    try:
        completion = await tools.model.complete(
            system=ROLE,
            prompt=packed.prompt,
            schema=verdict_schema(hypotheses=hypotheses, evidence=evidence, actions=actions, brief=packed.is_brief),
            budget=Budget(total=total, max_output_tokens=min(plan.max_output_tokens, tools.model_budget.max_output_tokens)),
        )
    except ModelFailed as failure:
        if failure.reason == "timeout":
            tools.pace.missed(plan, timedelta(seconds=tools.clock.monotonic() - started), pieces=failure.pieces)
        if failure.partial is None:
            raise
        completion, cut_off = failure.partial, True
        tools.pace.learn(completion)
        try:
            verdict = read_verdict(completion.text, hypotheses=hypotheses, evidence=evidence, actions=actions, cut_off=True)
        except Refused:
            raise failure from None
    else:
        tools.pace.learn(completion)
        try:
            verdict = read_verdict(completion.text, hypotheses=hypotheses, evidence=evidence, actions=actions)
        except Refused:
            metrics.count_verdict("invalid")
            raise
    metrics.count_verdict("cut_off" if cut_off else "repaired" if verdict.repaired else "whole")
    return completion, verdict


def _grounded(incident: Incident, diagnosis: Diagnosis, packed: Packed, completion: Completion, verdict: Verdict) -> ModelAnswer:
    """The verdict with what of its sentences the facts support."""
    chosen = next((item for item in diagnosis.hypotheses if item.id == verdict.cause), None)
    lead = incident.lead
    context = ". ".join([*([chosen.cause, describe(chosen.subject)] if chosen else []), lead.name, describe(lead.subject)])
    # what code says of the chosen cause rests on that cause's evidence, whatever the model cites
    resting = [evidence_id for evidence_id in (chosen.supporting if chosen else ()) if evidence_id in packed.evidence]
    summary = ground(verdict.summary, cited=verdict.evidence_ids, facts=packed.facts, context=context, context_ids=resting)
    impact = ground(verdict.impact, cited=verdict.evidence_ids, facts=packed.facts, context=context, context_ids=resting)
    dropped = [*summary.dropped, *impact.dropped]
    metrics.count_sentences(shown=len(summary.sentences) + len(impact.sentences), dropped=len(dropped))
    note = f"the rules' findings, weighed and worded by {completion.model} (prompt {packed.version})"
    if dropped:
        reasons = list(dict.fromkeys(said(item.reason.replace("_", " "), 60) for item in dropped))[:_MOST_REASONS]
        count = f"{len(dropped)} {'sentence' if len(dropped) == 1 else 'sentences'}"
        note += f"; {count} of the model {'was' if len(dropped) == 1 else 'were'} left out: {'; '.join(reasons)}"
    return ModelAnswer(completion=completion, verdict=verdict, note=note, summary=summary, impact=impact, prompt_version=packed.version)


def _no_time(tools: Tools, left: timedelta) -> ModelFailed:
    metrics.count(provider=tools.model.provider, model=tools.model.name, outcome="no_time", seconds=0.0)
    return ModelFailed(
        f"{tools.model.title} was not asked: {tools.model.name} reads {tools.pace.prefill:.0f} and writes {tools.pace.decode:.1f} tokens a second "
        f"here, so that no answer could end within {left.total_seconds():.0f} s",
        reason="no_time",
    )


async def _answer_text(state: State, context: Context) -> ModelAnswer:
    tools = context.tools
    system = SYSTEM_PROMPTS.get(state["task_type"], SYSTEM_PROMPTS["general"])
    prompt = text_prompt(context.message, context.history)
    room = tools.pace.room(estimate_tokens(system, prompt), tools.model_budget.total)
    if room < _LEAST_TEXT:
        raise _no_time(tools, tools.model_budget.total)
    completion = await tools.model.complete(
        system=system,
        prompt=prompt,
        schema=None,
        budget=replace(tools.model_budget, max_output_tokens=min(tools.model_budget.max_output_tokens, room)),
    )
    tools.pace.learn(completion)
    if not clean(completion.text).strip():
        raise ModelFailed("The model answered with nothing", reason="invalid")
    return ModelAnswer(completion=completion, verdict=None, note=f"answered by {completion.model}; nothing of it was measured")


def _with_model(analysis: Analysis, answer: ModelAnswer) -> Analysis:
    completion, verdict = answer.completion, answer.verdict
    if completion is None:
        return analysis
    tokens = {"input": completion.input_tokens or 0, "output": completion.output_tokens or 0}
    analysis = replace(analysis, author=completion.model, tokens=tokens, model=completion.served)
    if completion.served is not None and completion.served.label:
        analysis = replace(analysis, author_note=f"{analysis.author_note} ({completion.served.label})")
    if verdict is None:
        return replace(analysis, markdown=clean(completion.text, 20_000))
    agreement = agree(verdict, analysis.hypotheses, analysis.confidence)
    first, rival = agreement.first, agreement.rival
    check = separating_check(first, rival, EvidenceSet(items=analysis.evidence, gaps=analysis.gaps)) if first and rival else ""
    return replace(
        analysis,
        root_cause=_root_cause(analysis, answer, agreement),
        impact=_shown(answer.impact) or analysis.impact,
        hypotheses=(first, *(item for item in analysis.hypotheses if item.id != first.id)) if first else analysis.hypotheses,
        confidence=agreement.confidence,
        confidence_reason=f"{completion.model} {agreement.words}; {analysis.confidence_reason}",
        next_check=check or analysis.next_check,
        prompt_version=answer.prompt_version,
        missing=verdict.missing,
    )


def _root_cause(analysis: Analysis, answer: ModelAnswer, agreement: Agreement) -> str:
    """The rules' sentence or that of the choice, then what the model says of it where its word counts."""
    words = _shown(answer.summary) if agreement.counts else ""
    first, rival = agreement.first, agreement.rival
    if first is None:
        said_by_rules = "Unknown."
    elif rival is not None:
        said_by_rules = f"Inconclusive. Either {_clause(first)}, or {_clause(rival)}."
    elif analysis.hypotheses and first.id == analysis.hypotheses[0].id:
        said_by_rules = analysis.root_cause
    else:
        said_by_rules = f"Possibly: {_clause(first)}."
    return f"{said_by_rules} {words}".strip()


def _clause(hypothesis: Hypothesis) -> str:
    return cited(hypothesis.cause.rstrip(".!?"), hypothesis.supporting)


def _shown(grounded: Grounded) -> str:
    """The sentences that may be shown, each with its evidence. Brackets of the model's own are no citations."""
    return " ".join(cited(said(item.text, 400), item.evidence_ids[:3]) for item in grounded.sentences)


async def _rules_of(tools: Tools, run_id: str) -> Analysis:
    rules = await tools.store.read(lambda connection: load_analysis(connection, run_id, "rules"))
    if rules is None:
        raise LookupError(f"run {run_id} has no diagnosis: its rows were removed while it ran")
    return rules


async def _answer_of(tools: Tools, run_id: str) -> ModelAnswer:
    answer = await tools.store.read(lambda connection: load_artifact(connection, run_id, "answer", ModelAnswer))
    return answer or ModelAnswer(completion=None, verdict=None, note="the model's answer is gone")


def build_graph(checkpointer: BaseCheckpointSaver[Any]) -> CompiledStateGraph[State, Context, State, State]:
    """The compiled machine."""
    graph = StateGraph(State, context_schema=Context)
    graph.add_node("gather", gather_node)
    graph.add_node("diagnose", diagnose_node)
    graph.add_node("analyze", analyze_node)
    graph.add_node("generate_recommendations", generate_recommendations_node)
    graph.add_node("format_response", format_response_node)
    graph.add_edge(START, "gather")
    graph.add_edge("gather", "diagnose")
    graph.add_edge("diagnose", "analyze")
    graph.add_edge("analyze", "generate_recommendations")
    graph.add_edge("generate_recommendations", "format_response")
    graph.add_edge("format_response", END)
    return graph.compile(checkpointer=checkpointer)
