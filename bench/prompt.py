"""What a prompt is long, and what everything but the model costs: packing, reading the answer, checking its sentences.

    PYTHONPATH=tests .venv/bin/python -m bench.prompt [FOLDER OF CASES] [--every N]

Without a folder over the worlds of the tests. Lengths are our own estimate of tokens, times are CPU time of one process.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from agent_sre.analysis.grounding import ground
from agent_sre.analysis.llm.pace import TIERS
from agent_sre.analysis.packing import Packed, pack
from agent_sre.analysis.verdict import read_verdict
from analysis.packed_worlds import Diagnosed, all_worlds, recorded


def answer_to(packed: Packed) -> str:
    """A verdict of the usual length: it quotes the two first facts."""
    quoted = [fact.text for fact in packed.facts[:2]]
    fields = {
        "a_reasoning": "The first facts decide.",
        "b_cause": packed.hypotheses[0] if packed.hypotheses else "unknown",
        "c_evidence": list(packed.evidence[:3]),
        "d_confidence": "low",
        "e_summary": f"{'. '.join(quoted)}."[:400],
        "f_impact": "Some requests fail.",
        "g_actions": list(packed.actions[:2]),
        "h_missing": ["logs"],
    }
    return f"```json\n{json.dumps(fields)}\n```"


def overhead(world: Diagnosed) -> float:
    """Seconds of everything but the model, once."""
    began = time.process_time()
    packed = pack(world.incident, world.diagnosis, world.actions, budget_tokens=TIERS[0].prompt_tokens)
    text = answer_to(packed)
    verdict = read_verdict(text, hypotheses=packed.hypotheses, evidence=packed.evidence, actions=packed.actions)
    for words in (verdict.summary, verdict.impact):
        ground(words, cited=verdict.evidence_ids, facts=packed.facts, context=world.incident.lead.name)
    return time.process_time() - began


def worlds_of(folder: Path | None, every: int) -> Iterator[Diagnosed]:
    if folder is None:
        yield from all_worlds()
    else:
        yield from (recorded(case) for case in sorted(folder.iterdir())[::every])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--every", type=int, default=1)
    given = parser.parse_args()
    sizes: dict[str, list[int]] = {tier.name: [] for tier in TIERS}
    seconds: list[float] = []
    left_out = 0
    for world in worlds_of(given.folder, given.every):
        seconds.append(overhead(world))
        for tier in TIERS:
            packed = pack(world.incident, world.diagnosis, world.actions, budget_tokens=tier.prompt_tokens)
            sizes[tier.name].append(packed.tokens)
            offered = [item for item in world.diagnosis.hypotheses if item.id in packed.hypotheses]
            left_out += any(not set(item.supporting[:4]) <= set(packed.evidence) for item in offered)
    print(f"{len(seconds)} incidents")
    for name, lengths in sizes.items():
        print(f"  {name:<6} prompt: median {statistics.median(lengths):,.0f} tokens, longest {max(lengths):,}")
    print(f"  prompts without an answer that an offered cause cites: {left_out}")
    print(f"  pack, read, ground: median {statistics.median(seconds) * 1e3:.0f} ms, longest {max(seconds) * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
