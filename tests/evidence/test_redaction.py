from __future__ import annotations

from dataclasses import replace

from agent_sre.evidence.evidence import Fact, MetricSeries
from agent_sre.evidence.redaction import redacted
from fakes.secrets import planted
from fakes.tainted import tainted
from finding.answers import value


def test_an_answer_without_a_secret_stays_the_very_same() -> None:
    answer = value([float(point) for point in range(100)])
    assert redacted(answer) is answer


def test_every_text_of_every_kind_of_data_is_redacted() -> None:
    for one in planted(4):
        if one.kind == "pem-cut-off":
            continue
        _, found = tainted(one.text)
        assert one.secret not in repr(redacted(found)), one.kind


def test_a_value_is_a_secret_where_its_name_says_so() -> None:
    fact = Fact(name="env", text="", values={"db_password": "hunter22", "secret": "db-tls", "count": 3})
    assert redacted(fact).values == {"db_password": "<secret>", "secret": "db-tls", "count": 3}


def test_a_long_value_is_a_secret_by_its_name_as_well() -> None:
    secret = "hunter22" * 500
    fact = Fact(name="env", text="", values={"db_password": secret, "note": "word " * 500})
    assert redacted(fact).values == {"db_password": "<secret>", "note": "word " * 500}


def test_points_are_not_looked_at() -> None:
    curve = MetricSeries(labels={"a": "token=hunter22"}, points=((1.0, 2.0), (2.0, 3.0)))
    assert redacted(curve) == replace(curve, labels={"a": "token=<secret>"})
