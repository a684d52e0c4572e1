"""What looks like a secret leaves a text; what does not stays."""

from __future__ import annotations

import pytest

from agent_sre.kit.redact import redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password=hunter22", "password=<secret>"),
        ("DB_PASSWORD=hunter22 next", "DB_PASSWORD=<secret> next"),
        ("AWS_SECRET_ACCESS_KEY: hunter22", "AWS_SECRET_ACCESS_KEY: <secret>"),
        ("my-api-key='hunter 22'", "my-api-key=<secret>"),
        ("Authorization: Bearer abcdefgh12345", "Authorization: Bearer <secret>"),
        ("postgres://app:hunter22@db/x", "postgres://app:<secret>@db/x"),
        ("tokens=5", "tokens=5"),
        ("the password is wrong", "the password is wrong"),
        ("mytoken=5", "mytoken=5"),
    ],
)
def test_secrets_leave_and_the_rest_stays(text: str, shown: str) -> None:
    assert redact(text) == shown
