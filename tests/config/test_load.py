from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from agent_sre.config.load import all_settings, load_config
from agent_sre.kit.errors import BadSetting


def test_an_empty_environment_gives_the_contracts_defaults() -> None:
    config = load_config({})
    assert config.ollama.url == "http://localhost:11434"
    assert (config.ollama.model_name, config.ollama.fallback_model) == ("bruno-sre:latest", "gemma3n:e4b")
    assert (config.server.host, config.server.port, config.server.service) == ("127.0.0.1", 8080, "sre-agent")
    assert config.store.database_url == "sqlite:///agent-sre.db"
    assert config.prometheus.url == ""


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "agent-sre.toml"
    file.write_text('[server]\nport = 9000\nservice = "from-file"\n[agent]\ngather_deadline = "900ms"\n[ollama]\nallow_cloud = true\n')
    config = load_config({"AGENT_SRE_CONFIG": str(file), "AGENT_PORT": "9001"})
    assert (config.server.port, config.server.service) == (9001, "from-file")
    assert config.agent.gather_deadline == timedelta(milliseconds=900)
    assert config.ollama.allow_cloud is True


def test_a_secret_comes_from_a_file_without_its_line_break(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("s3cret\n")
    assert load_config({"AGENT_SRE_WEBHOOK_TOKEN_FILE": str(secret)}).inbox.webhook_token == "s3cret"


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"AGENT_PORT": "eighty"}, "AGENT_PORT"),
        ({"AGENT_PORT": "70000"}, "AGENT_PORT"),
        ({"AGENT_SRE_GATHER_DEADLINE": "soon"}, "AGENT_SRE_GATHER_DEADLINE"),
        ({"AGENT_SRE_OLLAMA_ALLOW_CLOUD": "perhaps"}, "AGENT_SRE_OLLAMA_ALLOW_CLOUD"),
        ({"AGENT_SRE_LOG_FORMAT": "xml"}, "AGENT_SRE_LOG_FORMAT"),
        ({"AGENT_SRE_DIAGNOSE_WORKERS": "0"}, "AGENT_SRE_DIAGNOSE_WORKERS"),
        ({"AGENT_SRE_WEBHOK_TOKEN": "x"}, "Did you mean AGENT_SRE_WEBHOOK_TOKEN?"),
        ({"AGENT_SRE_WEBHOOK_TOKEN_FILE": "/nowhere/token"}, "AGENT_SRE_WEBHOOK_TOKEN_FILE"),
        ({"AGENT_SRE_CONFIG": "/nowhere/agent-sre.toml"}, "AGENT_SRE_CONFIG"),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_names_it(environment: dict[str, str], named: str) -> None:
    with pytest.raises(BadSetting) as caught:
        load_config(environment)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_secret_file_stops_the_start_instead_of_opening_the_door(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")
    with pytest.raises(BadSetting, match="is empty"):
        load_config({"AGENT_SRE_WEBHOOK_TOKEN_FILE": str(tmp_path / "token")})


def test_a_secret_given_twice_is_refused_without_being_shown(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file")
    with pytest.raises(BadSetting) as caught:
        load_config({"AGENT_SRE_WEBHOOK_TOKEN": "from-env", "AGENT_SRE_WEBHOOK_TOKEN_FILE": str(tmp_path / "token")})
    assert "from-" not in str(caught.value)


@pytest.mark.parametrize("text", ["[server]\nprot = 1\n", "[nonsense]\nport = 1\n", "port = 1\n", "not toml"])
def test_a_wrong_file_is_one_sentence_that_names_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / "agent-sre.toml"
    file.write_text(text)
    with pytest.raises(BadSetting, match=r"agent-sre\.toml"):
        load_config({"AGENT_SRE_CONFIG": str(file)})


def test_variables_that_kubernetes_makes_for_a_service_are_no_settings() -> None:
    load_config(
        {
            "AGENT_SRE_SERVICE_HOST": "10.0.0.1",
            "AGENT_SRE_SERVICE_PORT_HTTP": "8080",
            "AGENT_SRE_PORT": "tcp://10.0.0.1:8080",
            "AGENT_SRE_PORT_8080_TCP_ADDR": "10.0.0.1",
        }
    )


def test_no_two_settings_share_a_variable() -> None:
    names = [setting.variable for setting in all_settings()]
    assert len(names) == len(set(names))
