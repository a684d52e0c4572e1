from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_sre.kit import redact as module
from agent_sre.kit.redact import redact
from fakes.clean_lines import clean_lines
from fakes.secrets import KINDS, Planted, everywhere, planted
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
    ],
)
def test_a_secret_goes_and_its_name_stays(text: str) -> None:
    cleaned = redact(text)
    assert CANARY not in cleaned
    assert "<secret>" in cleaned


def test_what_has_a_shape_of_its_own_is_called_by_its_kind() -> None:
    assert redact(f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n-----END RSA PRIVATE KEY-----") == "<secret:private-key>"
    assert redact(f"pushed with {'ghp_'}{'a1B2' * 9} by ci") == "pushed with <secret:github-token> by ci"


def _fragments(secret: str) -> Iterator[str]:
    """The secret, and pieces of a long one: half a key is a leak too."""
    yield secret
    yield from (secret[at : at + 12] for at in range(12, len(secret) - 12, 12))


@pytest.mark.parametrize("seed", range(5))
def test_no_kind_of_secret_is_left(seed: int) -> None:
    leaks = [one.kind for one in (*planted(seed), *everywhere(seed)) if any(part in redact(one.text) for part in _fragments(one.secret))]
    assert not leaks
    assert len(KINDS) >= 100


@pytest.mark.parametrize("one", list(planted(9)), ids=lambda one: str(one.kind))
def test_the_same_kind_of_secret_always_becomes_the_same_text(one: Planted) -> None:
    again = next(other for other in planted(9) if other.kind == one.kind)
    assert redact(one.text) == redact(again.text) == redact(redact(one.text))


def test_secrets_are_found_in_the_middle_of_a_long_text() -> None:
    clean, secrets = list(clean_lines(300)), list(planted(3))
    # a key without its last line goes on to the end of the text, so the whole ones only
    texts = [one.text for one in secrets if one.kind != "pem-cut-off"]
    long = "\n".join(line for pair in zip(clean, texts, strict=False) for line in pair)
    kept = redact(long)
    assert not [one.kind for one in secrets if one.secret in kept]
    assert redact(kept) == kept


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
        "invalid token: expired",
        '{"token":null,"secret":""}',
        "password: ${DB_PASSWORD}",
        'volumes: [{"secret":{"secretName":"db-tls"}}]',
        "secret:\n  secretName: db-tls",
        "postgres://db.shop:5432/shop?user=a@b.example",
        "image=shop/cart@sha256:" + "9f" * 32,
        "key=cart:42:v3",
        "http://10.0.0.7:8080/items?mail=a@b.example",
    ],
)
def test_what_only_sounds_like_one_stays(text: str) -> None:
    assert redact(text) == text


def test_clean_logs_stay_as_they_are() -> None:
    lines = list(clean_lines(20_000))
    changed = [line for line in lines if redact(line) != line]
    print(f"{len(changed)} of {len(lines):,} clean lines changed")  # noqa: T201  (pytest -s shows the figure)
    assert len(changed) < 0.01 * len(lines), changed[:5]


@given(st.text(max_size=300))
def test_twice_is_as_once(text: str) -> None:
    assert redact(redact(text)) == redact(text)


@given(
    st.lists(
        st.sampled_from(["password", "=", ":", '"', "'", "\\", "<secret", ">", "<secret>", "token", " ", "\n", "a1B2", "://", "@", "{", "`", "=>"])
    ).map("".join)
)
def test_twice_is_as_once_for_what_looks_like_secrets(text: str) -> None:
    assert redact(redact(text)) == redact(text)


UNITS = (
    "password", "token=", 'secret"', "pwd: ", "a://b:", "postgres://a:", "://:", "bearer ", "-----BEGIN A PRIVATE KEY-----", "\\", "token='",
    'token="', "token=`", 'pwd=\\"', "password=${", "password ", "key=", "key: aB3", "eyJ", "eyJaaaaaaaa.", "eyJaaaaaaaa.a", "ghp_", "glpat-", "sk-a",
    "xoxb-",
    "AKIA", "SK0", "$2a$10$", "$6$a$", "{SHA}", "Authorization: ", "cookie: a=", "set-cookie: ", "jsessionid=", "machine x login ", "name: password ",
    '"name":"token",', "<password>", "--token ", "-u a:", "identified by '", "password: |\n ", "M" + "a" * 23 + ".", "9" * 8 + ":AA", "s.", "aaa8Q~",
    "0" * 32 + "-", "a@tcp(", "jdbc:oracle:thin:a/", "&sig=", "AccountKey=", "Private-Lines: 1\n", "\n", "İtoken=", "hooks.slack.com/services/",
)  # fmt: skip


@pytest.mark.parametrize("units", [UNITS[start : start + 8] for start in range(0, len(UNITS), 8)], ids=lambda units: str(units[0])[:20])
def test_no_text_costs_more_than_its_length(units: tuple[str, ...]) -> None:
    for unit in units:
        assert growth(redact, unit * 300, unit * 2_400) < FAR_BELOW_QUADRATIC, unit


def test_no_beginning_of_a_shape_costs_more_than_its_length() -> None:
    starts = sorted({hint for rule in module._SHAPES for hint in rule.hints})
    for size in range(0, len(starts), 12):
        text = "".join(starts[size : size + 12])
        assert growth(redact, text * 60, text * 480) < FAR_BELOW_QUADRATIC, text
