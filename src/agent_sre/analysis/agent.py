"""The agent: one entry for every kind of task.

    result = await agent.execute(message="…", task_type="incident", context={"incident_id": 118})

The webhook's investigations, `/chat` and its siblings, and the command line all come through here. LangGraph is loaded by `open`, not by
importing this module.
"""

from __future__ import annotations

import asyncio
import importlib
import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_sre.alert.alert import Alert, AlertStatus, fingerprint_of
from agent_sre.analysis import environment
from agent_sre.analysis.analysis import Analysis
from agent_sre.analysis.artifacts import drop_artifacts, load_analysis
from agent_sre.analysis.llm.model import Budget, LanguageModel
from agent_sre.analysis.llm.pace import Pace
from agent_sre.analysis.rules import incident_of
from agent_sre.evidence.board import Board
from agent_sre.evidence.evidence import EvidenceSource
from agent_sre.evidence.gather import Circuits
from agent_sre.evidence.playbook import Playbook
from agent_sre.incident import store as incident_store
from agent_sre.incident.incident import Incident
from agent_sre.kit.clock import Clock
from agent_sre.kit.errors import BadInput, StoreUnavailable
from agent_sre.store.engine import Store

if TYPE_CHECKING:
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
    from langgraph.graph.state import CompiledStateGraph

    from agent_sre.analysis.graph import Context, Publish, State, Tools

TASK_TYPES = ("incident", "logs", "monitoring", "performance", "general")
"""What can be asked; each has a system prompt and an author by rules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """How long the agent may look; how long the model may think is the model's setting."""

    gather_deadline: timedelta = timedelta(seconds=1.2)
    """For all evidence together. 1.2 s: the preliminary report is promised within 2 s."""

    alertmanager_deadline: timedelta = timedelta(0)
    """For all questions to Alertmanager in one investigation. 0 means `gather_deadline`, which is also the most there is. The default for all
    sources is 0: they are asked side by side, so one that is slow delays nobody before the others have answered. Give a source less where it
    is always the last and seldom worth the wait, and raise `gather_deadline` for one that is slow but worth it."""

    kubernetes_deadline: timedelta = timedelta(0)
    """The same for the Kubernetes API. 0: as long as `gather_deadline`, because states, events and rollouts explain the most."""

    loki_deadline: timedelta = timedelta(0)
    """The same for Loki. 0: as long as `gather_deadline`. A Loki that reads from slow object storage is the first candidate for less."""

    prometheus_deadline: timedelta = timedelta(0)
    """The same for Prometheus. 0: as long as `gather_deadline`, because the alert's own series come from there."""

    @property
    def deadline_by_source(self) -> Mapping[str, timedelta]:
        """The sources' own deadlines, as `gather` takes them."""
        return {
            "alertmanager": self.alertmanager_deadline,
            "kubernetes": self.kubernetes_deadline,
            "loki": self.loki_deadline,
            "prometheus": self.prometheus_deadline,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentResult:
    """An answer. `analysis` is None where the run was asked to stop before its end."""

    thread_id: str
    run_id: str
    task_type: str
    analysis: Analysis | None


class Agent:
    """Runs the graph. Call `open` before `execute` and `close` after all."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        sources: Sequence[EvidenceSource],
        playbooks: Sequence[Playbook],
        model: LanguageModel,
        budget: Budget,
        settings: AgentSettings,
        board: Board | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._sources = sources
        self._playbooks = playbooks
        self._budget = budget
        self._settings = settings
        self._board = board or Board()
        self.model = model
        self._pace = Pace(clock)
        self._exit = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._tools: Tools | None = None
        self._graph: CompiledStateGraph[State, Context, State, State] | None = None
        self._saver: AsyncSqliteSaver | None = None

    @property
    def graph_compiled(self) -> bool:
        """Whether the machine is there to run."""
        return self._graph is not None

    async def open(self) -> None:
        """Loads LangGraph, opens the checkpoint file and compiles the graph. A second call does nothing."""
        async with self._opening:
            if self._graph is not None:
                return
            environment.prepare()
            # Two seconds of imports: in a thread, so that the webhook answers meanwhile.
            graph = await asyncio.to_thread(importlib.import_module, "agent_sre.analysis.graph")
            checkpoint = await asyncio.to_thread(importlib.import_module, "langgraph.checkpoint.sqlite.aio")
            saver = checkpoint.AsyncSqliteSaver.from_conn_string(str(checkpoint_path(self._store.path)))
            self._saver = await self._exit.enter_async_context(saver)
            self._tools = graph.Tools(
                store=self._store,
                clock=self._clock,
                sources=self._sources,
                circuits=Circuits(self._clock),
                playbooks=self._playbooks,
                model=self.model,
                gather_deadline=self._settings.gather_deadline,
                deadline_by_source=self._settings.deadline_by_source,
                board=self._board,
                model_budget=self._budget,
                pace=self._pace,
            )
            self._graph = graph.build_graph(self._saver)

    async def close(self) -> None:
        """Closes the checkpoint file."""
        self._graph = None
        await self._exit.aclose()

    async def execute(
        self,
        *,
        message: str,
        task_type: str = "general",
        context: Mapping[str, Any] | None = None,
        until: str | None = None,
        publish: Publish | None = None,
    ) -> AgentResult:
        """The answer to one task; for `incident`, the analysis of one incident.

        `context` may hold `incident_id` (an incident of the store) or `labels` and `annotations` (an alert that is not in the store);
        `thread_id` and `run_id` (to resume: a run that was started before goes on behind its last finished node); `history`, earlier turns as
        (role, text); `skip_model`, a reason not to ask the model. `until` names a node: the run pauses before it, the result's analysis is
        None, and the next call with the same `run_id` goes on. `publish` gets the rules' preliminary analysis.

        Raises BadInput for an unknown task type or incident. A failed model is not an error: the rules' analysis says what happened.
        """
        given = dict(context or {})
        if task_type not in TASK_TYPES:
            raise BadInput(f'"{task_type}" is not a task type; choose one of {", ".join(TASK_TYPES)}.')
        await self.open()
        if self._graph is None or self._tools is None:
            raise RuntimeError("the agent is closed")
        from agent_sre.analysis.graph import Context

        incident = await self._incident(given) if task_type == "incident" else None
        thread_id = str(given.get("thread_id") or (incident.lead.thread_id if incident else f"chat-{uuid.uuid4().hex[:12]}"))
        run_id = str(given.get("run_id") or f"{thread_id}/{uuid.uuid4().hex[:12]}")
        config: Any = {"configurable": {"thread_id": run_id}}
        before = await self._graph.aget_state(config)
        # It came to its end before, and the result was not fetched. "Nothing comes next" is not enough: that is also what the state says of a
        # run that was killed between its input and its first node, and such a run begins anew.
        ended = not before.next and await self._analysis(run_id) is not None
        paused = until is not None and before.next == (until,)  # a resume would walk past the node it waits before
        if not ended and not paused:
            try:
                await self._graph.ainvoke(
                    None if before.next else {"run_id": run_id, "task_type": task_type},
                    config,
                    context=Context(
                        tools=self._tools,
                        incident=incident,
                        message=message,
                        history=tuple(given.get("history") or ()),
                        skip_model=str(given.get("skip_model") or ""),
                        publish=publish,
                    ),
                    durability="sync",
                    interrupt_before=[until] if until else None,
                )
            finally:  # cancelled and failed runs take their board along
                self._board.end(run_id)
        analysis = await self._analysis(run_id)
        if "run_id" not in given:
            await self.forget(run_id)
        return AgentResult(thread_id=thread_id, run_id=run_id, task_type=task_type, analysis=analysis)

    async def forget(self, run_id: str) -> None:
        """Drops the checkpoints and the working papers of a run that has ended. The evidence stays."""
        try:
            if self._saver is not None:
                await self._saver.adelete_thread(run_id)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"The checkpoint file beside {self._store.path} failed: {error}") from error
        await self._store.write(lambda connection: drop_artifacts(connection, run_id))

    async def _analysis(self, run_id: str) -> Analysis | None:
        return await self._store.read(lambda connection: load_analysis(connection, run_id, "analysis"))

    async def _incident(self, given: Mapping[str, Any]) -> Incident | None:
        incident_id = given.get("incident_id")
        if incident_id is not None:
            incident = await self._store.read(lambda connection: incident_store.load_incident(connection, int(incident_id)))
            if incident is None:
                raise BadInput(f"There is no incident {incident_id}.")
            return incident
        if given.get("labels"):
            return incident_of(_unstored_alert(given), self._clock.now())
        return None


def checkpoint_path(database: Path) -> Path:
    """Where LangGraph keeps the state of unfinished runs. A file of its own: losing it costs a re-run, never an alert."""
    return database.with_name(f"{database.name}.checkpoints")


def _unstored_alert(given: Mapping[str, Any]) -> Alert:
    """An alert made of labels, for callers who have no row in the store."""
    labels = {str(name): str(value) for name, value in dict(given["labels"]).items()}
    return Alert(
        fingerprint=str(given.get("fingerprint") or fingerprint_of(labels)),
        status=AlertStatus.FIRING,
        labels=labels,
        annotations={str(name): str(value) for name, value in dict(given.get("annotations") or {}).items()},
        starts_at=None,
        ends_at=None,
        generator_url=str(given.get("generator_url") or ""),
    )
