"""The prompts of all packaged scenarios: short enough at every tier, and with what the known cause is told by still inside."""

from __future__ import annotations

import re
from statistics import median

import pytest

from agent_sre.alert.subject import describe
from agent_sre.analysis.grounding import ground
from agent_sre.analysis.llm.pace import TIERS
from agent_sre.analysis.packing import Packed, pack
from agent_sre.analysis.rules import incident_of, rules_analysis
from agent_sre.evidence.bundle.source import BundleSource
from agent_sre.evidence.playbook import load_playbooks
from agent_sre.evidence.playbook_derived import playbook_of
from agent_sre.finding.diagnose import diagnose
from agent_sre.finding.finding import Diagnosis
from agent_sre.incident.incident import Incident
from agent_sre.scenarios.scenario import Scenario, packaged_scenarios

BUDGETS = {tier.name: tier.prompt_tokens for tier in TIERS}


@pytest.fixture(scope="module")
def diagnosed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Scenario, Incident, Diagnosis, dict[str, Packed]]]:
    found = []
    playbooks = load_playbooks()
    for scenario in packaged_scenarios():
        bundle = scenario.bundle(tmp_path_factory.mktemp(scenario.name))
        assert bundle.message is not None
        assert bundle.now is not None
        incident = incident_of(bundle.message.alerts[0], bundle.now)
        evidence = BundleSource(bundle, bundle.now).everything(incident)
        playbook = playbook_of(incident.lead, playbooks)
        diagnosis = diagnose(incident, evidence, playbook)
        actions = rules_analysis(incident, diagnosis, playbook, author_note="", now=bundle.now).recommendations
        prompts = {tier: pack(incident, diagnosis, actions, budget_tokens=budget) for tier, budget in BUDGETS.items()}
        found.append((scenario, incident, diagnosis, prompts))
    return found


@pytest.fixture(scope="module")
def packed(diagnosed: list[tuple[Scenario, Incident, Diagnosis, dict[str, Packed]]]) -> list[tuple[Scenario, dict[str, Packed]]]:
    return [(scenario, prompts) for scenario, _, _, prompts in diagnosed]


def test_the_largest_prompt_has_3500_tokens_and_that_of_a_processor_800() -> None:
    assert max(BUDGETS.values()) <= 3_500
    assert BUDGETS["cpu"] <= 800


@pytest.mark.parametrize("tier", BUDGETS)
def test_every_prompt_is_within_its_budget(tier: str, packed: list[tuple[Scenario, dict[str, Packed]]]) -> None:
    tokens = [prompts[tier].tokens for _, prompts in packed]
    assert len(tokens) >= 25
    assert max(tokens) <= BUDGETS[tier]
    assert median(tokens) <= 2_500


def test_what_the_known_cause_is_told_by_is_inside(packed: list[tuple[Scenario, dict[str, Packed]]]) -> None:
    missing = [
        (scenario.name, text)
        for scenario, prompts in packed
        for text in scenario.truth.must_facts
        if text.casefold() not in prompts["gpu"].prompt.casefold()
    ]
    assert missing == []


def test_a_model_may_say_what_it_was_told_of_the_first_cause(
    diagnosed: list[tuple[Scenario, Incident, Diagnosis, dict[str, Packed]]],
) -> None:
    """The true sentences that a small model writes are those that it read: less than 2 % of them may be lost."""
    told, lost = 0, []
    for scenario, incident, diagnosis, prompts in diagnosed:
        first = next((item for item in diagnosis.hypotheses[:1] if item.name), None)
        if first is None:
            continue
        facts, evidence = prompts["gpu"].facts, prompts["gpu"].evidence
        cited = [evidence_id for evidence_id in first.supporting if evidence_id in evidence][:5]
        sights = [fact.text for fact in facts if fact.evidence_id in cited and fact.text.startswith("seen: ")]
        context = ". ".join([first.cause, describe(first.subject), incident.lead.name, describe(incident.lead.subject)])
        for text in dict.fromkeys([first.cause, *(re.sub(r", since [\dT:Z -]+$", "", sight.removeprefix("seen: ")) for sight in sights)]):
            told += 1
            if ground(f"{text.rstrip('.')}.", cited=cited, facts=facts, context=context, context_ids=cited).dropped:
                lost.append((scenario.name, text))
    assert told >= 50
    assert len(lost) < 0.02 * told, lost
