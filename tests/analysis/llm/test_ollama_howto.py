"""The page and the Modelfile hold what the code does: every reason, every setting, Gemma's turns to the byte."""

from __future__ import annotations

import json
import math
import re
import shlex
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from agent_sre.analysis.llm.model import REASONS
from agent_sre.analysis.llm.ollama import OllamaModel, OllamaSettings
from agent_sre.analysis.llm.tokens import fits
from agent_sre.kit.clock import SystemClock
from fakes.ollama import BEHAVIOURS

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "how-to" / "ollama.md").read_text(encoding="utf-8")
MODELFILE = (ROOT / "deploy" / "ollama" / "Modelfile").read_text(encoding="utf-8")
PARAMETERS = re.findall(r"^PARAMETER (\w+) (.+)$", MODELFILE, flags=re.MULTILINE)

RENDER = """
package main

import (
    "encoding/json"
    "os"
    "text/template"
)

type Message struct{ Role, Content string }

func main() {
    var input struct {
        Template string
        System   string
        Messages []*Message
    }
    if err := json.NewDecoder(os.Stdin).Decode(&input); err != nil {
        panic(err)
    }
    parsed := template.Must(template.New("").Option("missingkey=zero").Parse(input.Template))
    if err := parsed.Execute(os.Stdout, map[string]any{"System": input.System, "Messages": input.Messages}); err != nil {
        panic(err)
    }
}
"""


def modelfile_text(name: str) -> str:
    found = re.search(rf'^{name} """(.*?)"""', MODELFILE, flags=re.MULTILINE | re.DOTALL)
    assert found is not None
    return found.group(1)


def test_every_reason_has_a_row_and_every_row_a_reason() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE)) == set(REASONS)


def test_every_setting_that_the_page_names_exists() -> None:
    named = set(re.findall(r"AGENT_SRE_OLLAMA_(\w+)", PAGE))
    assert named
    assert named <= {field.name.upper() for field in fields(OllamaSettings)}


def test_every_behaviour_that_the_page_names_exists() -> None:
    named = [line for line in PAGE.splitlines() if line.startswith("python ")]
    assert named
    for line in named:
        words = shlex.split(line)
        assert (ROOT / words[1]).is_file()
        assert "--behaviour" not in words or words[words.index("--behaviour") + 1] in BEHAVIOURS


def test_every_number_of_the_page_is_the_default() -> None:
    defaults = OllamaSettings()
    assert f"({defaults.first_token.seconds} s if the model is loaded)" in " ".join(PAGE.split())
    assert f"{defaults.between_tokens.seconds} s of silence" in PAGE
    assert f"whole budget of {defaults.total.seconds} s" in PAGE
    assert f"no connection within {defaults.connect.seconds} s" in PAGE
    assert f"left alone for {defaults.circuit_open.seconds} s" in PAGE
    assert f"`num_ctx` {defaults.num_ctx}" in " ".join(PAGE.split())


def test_the_modelfile_makes_the_model_that_the_settings_expect() -> None:
    defaults = OllamaSettings()
    assert re.findall(r"^FROM (.+)$", MODELFILE, flags=re.MULTILINE) == [defaults.fallback_model]
    assert ("num_ctx", str(defaults.num_ctx)) in PARAMETERS
    assert ("temperature", "0") in PARAMETERS
    assert [json.loads(value) for name, value in PARAMETERS if name == "stop"] == ["<end_of_turn>", "<start_of_turn>"]
    assert 50 < len(modelfile_text("SYSTEM")) < 500
    assert f"ollama create {defaults.model_name.removesuffix(':latest')} -f deploy/ollama/Modelfile" in PAGE


def test_the_modelfile_has_what_the_service_sends() -> None:
    sent = OllamaModel(OllamaSettings(), SystemClock())._request("", "x", None, OllamaSettings().max_output_tokens)["options"]
    assert {name: float(value) for name, value in PARAMETERS if name != "stop"} == sent


MEMORY = re.findall(
    r"^\| `([\w.:]+)` \| [\d.]+ GB \| (\d+) \| (none|\d+ × \d+) \| (\d+) × (\d+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", PAGE, re.MULTILINE
)


@pytest.mark.parametrize(("model", "whole", "part", "heads", "dimensions", "a_token", "at_4096", "at_8192", "at_16384"), MEMORY)
def test_the_memory_of_a_window_is_calculated_right(
    model: str, whole: str, part: str, heads: str, dimensions: str, a_token: str, at_4096: str, at_8192: str, at_16384: str
) -> None:
    layers, kept = (int(number) for number in part.split(" × ")) if part != "none" else (0, 0)
    layer_bytes = 2 * 2 * int(heads) * int(dimensions)  # key and value, two bytes each
    assert int(a_token) * 1024 == int(whole) * layer_bytes, model
    for tokens, mebibytes in ((4096, at_4096), (8192, at_8192), (16384, at_16384)):
        assert int(mebibytes) << 20 == layer_bytes * (int(whole) * tokens + layers * kept), model


def test_the_page_calculates_with_the_memory_of_four_models() -> None:
    assert len(MEMORY) == 4


def test_the_largest_prompt_that_the_page_names_fits_the_default_window() -> None:
    needed = math.ceil((3500 + 24) * 1.3 + 700)
    assert f"{needed:,} tokens" in PAGE
    assert fits(3500, num_ctx=needed, num_predict=700)
    assert not fits(3500, num_ctx=needed - 1, num_predict=700)


def test_the_template_has_no_chat_tokens_of_other_models() -> None:
    template = modelfile_text("TEMPLATE")
    assert set(re.findall(r"<[^>]*>", template)) == {"<start_of_turn>", "<end_of_turn>"}
    assert template.count("{{") == template.count("}}")
    assert len(re.findall(r"{{-? (?:if|range)\b", template)) == len(re.findall(r"{{-? end\b", template))


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize(
    ("system", "turns", "prompt"),
    [
        (
            "Be brief.",
            [("system", "Be brief."), ("user", "Why?")],
            "<start_of_turn>user\nBe brief.\n\nWhy?<end_of_turn>\n<start_of_turn>model\n",
        ),
        ("", [("user", "Why?")], "<start_of_turn>user\nWhy?<end_of_turn>\n<start_of_turn>model\n"),
        (
            "Be brief.",
            [("user", "Why?"), ("assistant", "Memory."), ("user", "And <b>?")],
            "<start_of_turn>user\nBe brief.\n\nWhy?<end_of_turn>\n<start_of_turn>model\nMemory.<end_of_turn>\n"
            "<start_of_turn>user\nAnd <b>?<end_of_turn>\n<start_of_turn>model\n",
        ),
    ],
    ids=["system and user", "user only", "a conversation"],
)
def test_the_template_renders_gemmas_turns(tmp_path_factory: pytest.TempPathFactory, system: str, turns: list[tuple[str, str]], prompt: str) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip("go is not installed, so the template was NOT rendered")
    folder = tmp_path_factory.getbasetemp() / "render"
    folder.mkdir(exist_ok=True)
    program = folder / "render"
    if not program.exists():
        (folder / "main.go").write_text(RENDER, encoding="utf-8")
        subprocess.run([go, "build", "-o", str(program), "main.go"], cwd=folder, check=True, timeout=120)
    messages = [{"Role": role, "Content": content} for role, content in turns]
    given = json.dumps({"Template": modelfile_text("TEMPLATE"), "System": system, "Messages": messages})
    rendered = subprocess.run([program], input=given, capture_output=True, text=True, check=True, timeout=10)
    assert rendered.stdout == prompt
