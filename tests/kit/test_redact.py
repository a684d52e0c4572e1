from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_sre.kit.redact import redact
from growth import FAR_BELOW_QUADRATIC, growth

CANARY = "hunter22-canary"


@pytest.mark.parametrize(
    "text",
    [
        f"password={CANARY}",
        f"DB_PASSWORD={CANARY}",
        f"MYSQL_PWD: {CANARY}",
        f"PGPASSWORD={CANARY} psql -h db",
        f'{{"password": "{CANARY}"}}',
        f"{{'api_key':'{CANARY}'}}",
        f'msg="login" body="{{\\"token\\": \\"{CANARY}\\"}}"',
        f"X-Api-Key: {CANARY}",
        f"clientSecret : {CANARY}",
        f"aws_secret_access_key = {CANARY}",
        f"postgres://app:{CANARY}@db/shop",
        f"Authorization: Bearer {CANARY}",
        f"private_key={CANARY}&x=1",
        f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_a_secret_goes_and_its_name_stays(text: str) -> None:
    cleaned = redact(text)
    assert CANARY not in cleaned
    assert "<secret>" in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens=700",
        "tokens: 2.1k",
        "secretName: db-tls",
        "password changed by admin",
        "token bucket is empty",
        "secrets: 3 objects",
        "ratio=0.93",
    ],
)
def test_what_only_sounds_like_one_stays(text: str) -> None:
    assert redact(text) == text


@given(st.text(max_size=300))
def test_twice_is_as_once(text: str) -> None:
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize("unit", ["password", "token=", 'secret"', "pwd: ", "a://b:", "bearer ", "-----BEGIN A PRIVATE KEY-----", "\\"])
def test_no_text_costs_more_than_its_length(unit: str) -> None:
    assert growth(redact, unit * 1_000, unit * 8_000) < FAR_BELOW_QUADRATIC
