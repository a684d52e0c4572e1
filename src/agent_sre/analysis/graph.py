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
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

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
from agent_sre.analysis.llm.model import Budget, Completion, LanguageModel, ModelFailed
from agent_sre.analysis.markdown import to_markdown
from agent_sre.analysis.prompts import SYSTEM_PROMPTS, incident_prompt, text_prompt
from agent_sre.analysis.rules import rules_analysis, text_analysis
from agent_sre.analysis.verdict import Verdict, read_verdict, verdict_schema
from agent_sre.evidence.board import Board
from agent_sre.evidence.derived import with_changes
from agent_sre.evidence.evidence import EvidenceSource
from agent_sre.evidence.gather import Circuits, gather
from agent_sre.evidence.playbook import Playbook
from agent_sre.evidence.playbook_derived import playbook_of
from agent_sre.finding.diagnose import diagnose
from agent_sre.finding.finding import Confidence, Diagnosis
from agent_sre.incident.incident import Incident
from agent_sre.kit.clock import Clock
from agent_sre.kit.text import clean
from agent_sre.store.engine import Store

Publish = Callable[[Analysis], Awaitable[None]]
"""What to do with the preliminary analysis."""

WAITING_FOR_MODEL = "a model has not been heard yet"


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
    """Asks the model once. Whatever goes wrong is a reason in the report, never an exception."""
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
            answer = await _choose(context, context.incident, diagnosis, rules.recommendations)
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
    if answer.completion is not None:
        analysis = _with_model(analysis, answer.completion, answer.verdict)
    if answer.completion is None or context.incident is not None:
        analysis = replace(analysis, markdown=to_markdown(analysis))
    await tools.store.write(lambda connection: save_analysis(connection, run_id, "analysis", analysis))
    return {"author": analysis.author}


async def _choose(context: Context, incident: Incident, diagnosis: Diagnosis | None, actions: Sequence[Recommendation]) -> ModelAnswer:
    if diagnosis is None:
        raise ModelFailed("The diagnosis of this run is gone, so the model was not asked", reason="invalid")
    hypotheses = [item.id for item in diagnosis.hypotheses]
    evidence = [item.id for item in diagnosis.evidence.items]
    offered = [item.id for item in actions]
    completion = await context.tools.model.complete(
        system=SYSTEM_PROMPTS["incident"],
        prompt=incident_prompt(incident, diagnosis, actions),
        schema=verdict_schema(hypotheses=hypotheses, evidence=evidence, actions=offered),
        budget=context.tools.model_budget,
    )
    verdict = read_verdict(completion.text, hypotheses=hypotheses, evidence=evidence, actions=offered)
    return ModelAnswer(completion=completion, verdict=verdict, note=f"the rules' findings, weighed and worded by {completion.model}")


async def _answer_text(state: State, context: Context) -> ModelAnswer:
    completion = await context.tools.model.complete(
        system=SYSTEM_PROMPTS.get(state["task_type"], SYSTEM_PROMPTS["general"]),
        prompt=text_prompt(context.message, context.history),
        schema=None,
        budget=context.tools.model_budget,
    )
    if not clean(completion.text).strip():
        raise ModelFailed("The model answered with nothing", reason="invalid")
    return ModelAnswer(completion=completion, verdict=None, note=f"answered by {completion.model}; nothing of it was measured")


def _with_model(analysis: Analysis, completion: Completion, verdict: Verdict | None) -> Analysis:
    tokens = {"input": completion.input_tokens or 0, "output": completion.output_tokens or 0}
    analysis = replace(analysis, author=completion.model, tokens=tokens, model=completion.served)
    if completion.served is not None and completion.served.label:
        analysis = replace(analysis, author_note=f"{analysis.author_note} ({completion.served.label})")
    if verdict is None:
        return replace(analysis, markdown=clean(completion.text, 20_000))
    chosen = next((item for item in analysis.hypotheses if item.id == verdict.cause), None)
    if chosen is None:  # the model says that none of them fits: the rules' order stands, and the doubt is shown
        return replace(
            analysis,
            root_cause=f"Unknown. {verdict.summary}",
            impact=verdict.impact or analysis.impact,
            confidence=Confidence.LOW,
            confidence_reason=f"{completion.model} found that the evidence singles out no cause; {analysis.confidence_reason}",
        )
    others = tuple(item for item in analysis.hypotheses if item.id != chosen.id)
    agrees = bool(analysis.hypotheses) and analysis.hypotheses[0].id == chosen.id
    judgement = f"{completion.model} {'agrees with the rules' if agrees else 'prefers another cause than the rules'}"
    return replace(
        analysis,
        root_cause=f"{chosen.cause}. {verdict.summary}" if verdict.summary else chosen.cause,
        impact=verdict.impact or analysis.impact,
        hypotheses=(chosen, *others),
        confidence=analysis.confidence if agrees else Confidence.LOW,
        confidence_reason=f"{judgement}; {analysis.confidence_reason}",
    )


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
