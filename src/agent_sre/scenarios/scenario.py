"""What a scenario is and where they come from: the packaged ones, or a folder of your own.

    worlds/*.yaml ─────────────────┐
    DIR/*.yaml  (recipes)          ├──> Scenario(name, truth, …) ──write──> a bundle on disk, as `investigate --bundle` reads it
    DIR/*/case.json with `truth` ──┘

A recipe says what happened in a few lines and `recipe` plays it; a recorded case is a support bundle whose case.json knows the cause:
`{"now": "…", "truth": {"causes": [{"cause": "oom_killed", "object": "app/cart"}], "subject": "app/cart"}}`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from agent_sre.evidence.bundle.bundle import Bundle, load_bundle
from agent_sre.evidence.bundle.manifests import from_json, from_yaml
from agent_sre.finding.cause import causes
from agent_sre.kit.errors import BadInput
from agent_sre.scenarios.recipe import write_world

_OBJECT_KINDS = ("app", "node", "namespace")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCause:
    """A cause by its name in finding/causes, and the object to blame as `object_name` writes it: `app/cart`, `node/worker-2`."""

    cause: str
    object: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What really happened."""

    causes: tuple[KnownCause, ...]  # empty: nothing was wrong; two: both happened, independently
    subject: str  # what the alert is about, as `object_name` writes it
    must_facts: tuple[str, ...] = ()  # texts without which the cause cannot be told from the evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One world with its truth."""

    name: str
    title: str  # one sentence: what happened
    truth: Truth
    recipe: Mapping[str, Any] = field(default_factory=dict)  # empty where the world is a recorded one
    path: Path | None = None  # of a recorded world

    def bundle(self, scratch: Path) -> Bundle:
        """Its world. A recipe is written into `scratch`, a folder that is empty."""
        if self.path is not None:
            return load_bundle(self.path)
        try:
            write_world(scratch, self.name, self.recipe)
        except BadInput as error:
            raise BadInput(f"Scenario {self.name}: {error}") from error
        return load_bundle(scratch)


def packaged_scenarios() -> tuple[Scenario, ...]:
    """Those that come with the product, by name."""
    folder = resources.files("agent_sre.scenarios") / "worlds"
    return tuple(sorted((_recipe(_stem(file.name), file.read_text("utf-8")) for file in folder.iterdir() if _is_yaml(file.name)), key=_name))


def scenarios_of(folder: Path) -> tuple[Scenario, ...]:
    """Those of a folder, by name: recipes (*.yaml) and recorded cases (folders with a case.json that has `truth`).

    Raises BadInput where there is none, or where one cannot be read: a scenario that was left out would make a figure look better than it is.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder. It must hold scenarios: *.yaml, or support bundles whose case.json has `truth`.")
    found = sorted([*_recipes(folder), *_recorded(folder)], key=_name)
    if not found:
        raise BadInput(f"There is no scenario in {folder}: it must hold *.yaml, or support bundles whose case.json has `truth`.")
    doubles = {one.name for one, other in itertools.pairwise(found) if one.name == other.name}
    if doubles:
        raise BadInput(f"{folder} has two scenarios of the name {min(doubles)}.")
    return tuple(found)


def choose(scenarios: Iterable[Scenario], names: Iterable[str]) -> tuple[Scenario, ...]:
    """Those with these names, all where no name is given. Raises BadInput for a name that none has."""
    by_name = {scenario.name: scenario for scenario in scenarios}
    wanted = tuple(dict.fromkeys(names)) or tuple(by_name)
    for name in wanted:
        if name not in by_name:
            raise BadInput(f"There is no scenario {name}. There are: {', '.join(by_name)}.")
    return tuple(by_name[name] for name in wanted)


def _recipes(folder: Path) -> Iterator[Scenario]:
    for path in folder.iterdir():
        if path.is_file() and _is_yaml(path.name):
            try:
                text = path.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise BadInput(f"Cannot read {path}: {error}.") from error
            yield _recipe(_stem(path.name), text)


def _recorded(folder: Path) -> Iterator[Scenario]:
    for case in folder.glob("*/case.json"):
        try:
            document = from_json(case.read_bytes())
        except OSError as error:
            raise BadInput(f"Cannot read {case}: {error.strerror}.") from error
        except BadInput as error:
            raise BadInput(f"{case}: {error}") from error
        if isinstance(document, Mapping) and "truth" in document:
            name = case.parent.name
            yield Scenario(name=name, title=str(document.get("title") or name), truth=_truth(name, document["truth"]), path=case.parent)


def _recipe(name: str, text: str) -> Scenario:
    try:
        documents = from_yaml(text)
    except BadInput as error:
        raise BadInput(f"Scenario {name}: {error}") from error
    document = documents[0] if len(documents) == 1 else None
    if not isinstance(document, Mapping) or not {"title", "alert", "truth"} <= set(document):
        raise BadInput(f"Scenario {name}: it must be one YAML document with at least `title`, `alert` and `truth`.")
    return Scenario(name=name, title=" ".join(str(document["title"]).split()), truth=_truth(name, document["truth"]), recipe=document)


def _truth(name: str, document: Any) -> Truth:
    try:
        known = tuple(KnownCause(cause=str(item["cause"]), object=str(item["object"])) for item in document["causes"])
        truth = Truth(causes=known, subject=str(document["subject"]), must_facts=tuple(str(fact) for fact in document.get("must_facts", ())))
    except (KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            f"Scenario {name}: `truth` must have `causes` (a list of `cause` and `object`, empty where nothing was wrong) and `subject`."
        ) from error
    for item in known:
        if item.cause not in causes():
            raise BadInput(f"Scenario {name}: {item.cause} is no cause that the rules can name; docs/reference/causes.md has them all.")
    for text in (truth.subject, *(item.object for item in known)):
        if text.partition("/")[0] not in _OBJECT_KINDS or not text.partition("/")[2]:
            raise BadInput(f"Scenario {name}: {text} is no object; write app/NAME, node/NAME or namespace/NAME.")
    return truth


def _is_yaml(name: str) -> bool:
    return name.endswith((".yaml", ".yml"))


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def _name(scenario: Scenario) -> str:
    return scenario.name
