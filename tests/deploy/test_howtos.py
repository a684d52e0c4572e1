"""The how-to pages name only things that exist, and their examples can be read by the programs they are for."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from deploy.repository import BASE, COMPONENTS, FLUX, HOWTOS, KNOWN_VARIABLES, ROOT, manifests, need, run

every_page = pytest.mark.parametrize("page", HOWTOS, ids=lambda page: page.name)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    assert links
    for link in links:
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target), link


@every_page
def test_every_command_is_bash(page: Path) -> None:
    assert blocks(page, "bash")
    for block in blocks(page, "bash"):
        checked = run(need("bash"), "-n", stdin=block)
        assert checked.returncode == 0, block + checked.stderr


@every_page
def test_every_block_names_its_language(page: Path) -> None:
    fences = re.findall(r"^```(.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert set(fences[::2]) <= {"bash", "yaml"}
    assert set(fences[1::2]) == {""}


@every_page
def test_every_yaml_and_json_example_can_be_read(page: Path) -> None:
    for block in blocks(page, "yaml"):
        assert isinstance(yaml.safe_load(block), dict)
    for body in re.findall(r"-d '([{].*?)'", page.read_text(encoding="utf-8"), flags=re.DOTALL):
        assert isinstance(json.loads(body), dict)


@every_page
def test_every_python_example_compiles(page: Path) -> None:
    for code in re.findall(r"python -c \\\n  '(.*?)'$", page.read_text(encoding="utf-8"), flags=re.MULTILINE):
        compile(code, page.name, "exec")


def named_resources(page: Path) -> set[tuple[str, str]]:
    """(kind, name) of what the page's commands do to the namespace agent-sre."""
    found = set()
    for line in "\n".join(blocks(page, "bash")).replace("\\\n", " ").splitlines():
        if re.search(r"(-n|--namespace) agent-sre\b", line):
            found |= set(re.findall(r"\b(svc|deploy|deployment|statefulset|pvc)/([\w-]+)", line))
    return found


@every_page
def test_every_object_of_ours_that_a_command_names_exists(page: Path) -> None:
    ours = {("svc", each["metadata"]["name"]) for each in manifests("Service")}
    for each in manifests("Deployment"):
        ours |= {("deploy", each["metadata"]["name"]), ("deployment", each["metadata"]["name"])}
    assert named_resources(page) <= ours


def test_the_commands_do_name_our_objects() -> None:
    """So that the test above cannot pass by finding nothing."""
    assert {("svc", "sre-agent-service"), ("deployment", "sre-agent"), ("deploy", "sre-agent")} <= {
        each for page in HOWTOS for each in named_resources(page)
    }


@every_page
def test_every_path_of_the_repository_exists(page: Path) -> None:
    paths = set(re.findall(r"(?<![\w/])(?:deploy|docs)/[\w./-]*\w", page.read_text(encoding="utf-8")))
    made_by_the_reader = {"deploy/kubernetes/overlays/mine/kustomization.yaml", "deploy/sre-agent"}
    assert {path for path in paths - made_by_the_reader if not (ROOT / path).exists()} == set()


@every_page
def test_every_variable_of_agent_sre_is_known(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"\b(?:AGENT_SRE_\w+|AGENT_HOST|AGENT_PORT|\w+_URL|MODEL_NAME)\b", text))
    assert named <= KNOWN_VARIABLES | {"SERVICE_URL"}


@every_page
def test_every_agent_sre_command_is_one_that_the_project_has(page: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    commands = {words[1] for words in re.findall(r"(?:-- |`)(agent-sre) (\w+)", page.read_text(encoding="utf-8"))}
    assert "agent-sre" in project["scripts"]
    assert commands <= {"serve", "quarantine"}


@every_page
def test_no_page_sends_the_reader_to_a_name_that_does_not_exist(page: Path) -> None:
    """The names of the first integration guide that no cluster has, and its restart of the wrong program."""
    text = page.read_text(encoding="utf-8")
    for wrong in ("prometheus-kube-prometheus-alertmanager", "rollout restart statefulset", 'Notify for alerts" with'):
        assert wrong not in text


def test_the_components_of_the_page_are_those_in_the_folder() -> None:
    _, _, section = (ROOT / "docs/how-to/deploy.md").read_text(encoding="utf-8").partition("## Take what else you need\n")
    rows = re.findall(r"^\| `([\w-]+)` \|", section, flags=re.MULTILINE)
    assert sorted(rows) == sorted(path.name for path in COMPONENTS.iterdir())


def test_the_token_is_made_alike_on_the_page_and_in_the_example() -> None:
    page = (ROOT / "docs/how-to/deploy.md").read_text(encoding="utf-8")
    example = (BASE / "secret.example.yaml").read_text(encoding="utf-8")
    for step in (
        "openssl rand -hex 32 | tr -d '\\n' > token",
        "kubectl create secret generic agent-sre-webhook-token -n agent-sre ",
        "kubectl create secret generic agent-sre-webhook-token -n prometheus ",
    ):
        assert step in page
        assert step in example


def test_the_flux_folder_of_the_page_is_the_real_one() -> None:
    page = (ROOT / "docs/how-to/deploy.md").read_text(encoding="utf-8")
    assert f"{FLUX.relative_to(ROOT)}/flux-kustomization.yaml" in page


def test_the_words_to_look_for_in_the_log_are_those_of_the_contract() -> None:
    page = (ROOT / "docs/how-to/troubleshoot.md").read_text(encoding="utf-8")
    for words in (
        "Ollama connection established",
        "Received alert: <name> (severity=",
        "Processing with LLM",
        "Completed investigation for alert: <name>",
    ):
        assert words in page
