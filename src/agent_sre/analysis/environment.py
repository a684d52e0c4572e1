"""Process settings that LangGraph and LangChain read when they are imported. Call `prepare` before."""

from __future__ import annotations

import os


def prepare() -> None:
    """Keeps prompts at home and checkpoints safe.

    With a LangSmith key in the environment, langchain-core would post every prompt to a third party: tracing is off here whatever the
    environment says. Strict msgpack lets a checkpoint hold plain values only, so a changed file cannot build objects of its choice.
    """
    for name in ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING", "LANGCHAIN_TRACING_V2"):
        os.environ[name] = "false"
    os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"
