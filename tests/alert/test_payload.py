"""The wire: what Alertmanager posts, what people send by hand, and what can only be a mistake or an attack."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent_sre.alert.alert import Alert, AlertStatus, Severity, fingerprint_of
from agent_sre.alert.payload import (
    ANNOTATION_LIMIT,
    DEEPEST,
    LABEL_LIMIT,
    MOST_VALUES,
    URL_LIMIT,
    AlertFault,
    WebhookMessage,
    alert_count,
    capped,
    decode,
    firing_count,
    parse,
)
from agent_sre.kit.errors import BadInput
from agent_sre.kit.times import parse_instant
from growth import FAR_BELOW_QUADRATIC, growth

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PAYLOADS = Path(__file__).parents[3] / "shared" / "data" / "payloads"
captured = pytest.mark.skipif(not PAYLOADS.exists(), reason=f"no captured bodies at {PAYLOADS}")

HIGH_CPU = b"""{"alerts": [{"status": "firing", "labels": {"alertname": "HighCPU", "severity": "warning", "pod": "test-pod"},
    "annotations": {"summary": "High CPU usage", "description": "CPU usage above 80%"}}]}"""


def read(body: bytes, now: datetime = NOW) -> WebhookMessage:
    return parse(decode(body), now)


def read_alert(**fields: Any) -> Alert:
    """The one alert of a body that holds these fields."""
    (alert,) = read(orjson.dumps({"alerts": [fields]})).alerts
    return alert


# Captured bodies


def captured_bodies() -> list[tuple[str, int, int]]:
    """File, firing, resolved: the table of the captures' README."""
    if not PAYLOADS.exists():
        return []
    rows = re.findall(r"^\| (\S+\.json) \| \d+ \| (\d+) \| (\d+) \|", (PAYLOADS / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    return [(name, int(firing), int(resolved)) for name, firing, resolved in rows]


@captured
def test_the_table_of_captured_bodies_is_read_whole() -> None:
    assert {name for name, _, _ in captured_bodies()} == {path.name for path in PAYLOADS.glob("*.json")}


@captured
@pytest.mark.parametrize(("name", "firing", "resolved"), captured_bodies())
def test_a_captured_body_is_read_as_it_was_made(name: str, firing: int, resolved: int) -> None:
    document = decode((PAYLOADS / name).read_bytes())
    message = parse(document, NOW)
    statuses = [alert.status for alert in message.alerts]
    assert (statuses.count(AlertStatus.FIRING), statuses.count(AlertStatus.RESOLVED)) == (firing, resolved)
    assert (firing_count(document), alert_count(document)) == (firing, firing + resolved)
    assert message.faults == ()
    for alert, raw in zip(message.alerts, document["alerts"], strict=True):
        assert alert.labels == raw["labels"]
        assert alert.annotations == raw["annotations"]
        assert alert.fingerprint == raw["fingerprint"] == fingerprint_of(raw["labels"])
        assert alert.starts_at == parse_instant(raw["startsAt"]) is not None
        assert (alert.ends_at is None) == (alert.status is AlertStatus.FIRING)
    assert (message.receiver, message.group_key) == (document["receiver"], document["groupKey"])
    assert message.common_labels == document["commonLabels"]
    assert message.external_url == document["externalURL"]


@captured
def test_what_max_alerts_cut_off_is_counted() -> None:
    body = (PAYLOADS / "33_api_truncated_max_alerts_3_of_10_am025.json").read_bytes()
    assert read(body).truncated_alerts == 7


@captured
def test_three_hundred_labels_and_names_in_any_script_arrive_whole() -> None:
    (wide,) = read((PAYLOADS / "31_api_300_labels_am025.json").read_bytes()).alerts
    assert len(wide.labels) >= 300
    (named,) = read((PAYLOADS / "28_api_utf8_label_name_am033.json").read_bytes()).alerts
    assert named.labels["k8s.pod/имя"] == "x"


@captured
def test_the_newer_alertmanager_says_why_it_notifies() -> None:
    assert read((PAYLOADS / "13_real_first_notification_am033.json").read_bytes()).notification_reason == "first notification"
    assert read((PAYLOADS / "01_real_firing_single_targetdown_am025.json").read_bytes()).notification_reason == ""


@captured
def test_an_alert_without_name_or_severity_is_unnamed_and_unknown() -> None:
    (nameless,) = read((PAYLOADS / "24_api_missing_alertname_am025.json").read_bytes()).alerts
    assert nameless.name == "unnamed"
    (grave,) = read((PAYLOADS / "23_api_missing_severity_am025.json").read_bytes()).alerts
    assert (grave.severity_text, grave.severity) == ("unknown", Severity.UNKNOWN)


@captured
def test_ten_thousand_alerts_in_one_body_are_read() -> None:
    document = decode((PAYLOADS / "39_storm_one_group_1000_alerts_am025.json").read_bytes())
    document["alerts"] *= 10
    large = orjson.dumps(document)
    assert len(large) > 11_900_000
    read_again = decode(large)
    assert firing_count(read_again) == len(parse(read_again, NOW).alerts) == 10_000


# What people send by hand


@pytest.mark.parametrize("body", [b'{"alerts":[]}', b'{"alerts":null}', b"{}", b'{"status":"firing","version":"4"}', b"\xef\xbb\xbf {} \n"])
def test_a_body_without_alerts_is_an_empty_message(body: bytes) -> None:
    document = decode(body)
    assert alert_count(document) == firing_count(document) == 0
    assert parse(document, NOW).alerts == ()


def test_the_documents_own_curl_post_is_an_alert() -> None:
    document = decode(HIGH_CPU)
    (alert,) = parse(document, NOW).alerts
    assert firing_count(document) == 1
    assert (alert.name, alert.severity_text, alert.status) == ("HighCPU", "warning", AlertStatus.FIRING)
    assert alert.annotations["description"] == "CPU usage above 80%"
    assert (alert.starts_at, alert.ends_at, alert.generator_url) == (None, None, "")
    assert alert.fingerprint == fingerprint_of(alert.labels)
    assert alert.thread_id == f"alert-{alert.fingerprint}"


@pytest.mark.parametrize("sent", ["abc123def456", "xyz789abc321", "A_b.c:d-1", "f" * 64])
def test_a_fingerprint_of_any_alphabet_is_kept(sent: str) -> None:
    assert read_alert(fingerprint=f" {sent}\n", labels={"a": "b"}).fingerprint == sent


@pytest.mark.parametrize("sent", [None, "", "  ", 17, ["x"], "a b", "../x", "<script>", "é", "a\0b", "f" * 65])
def test_a_fingerprint_that_is_none_is_computed(sent: Any) -> None:
    assert read_alert(fingerprint=sent, labels={"a": "b"}).fingerprint == fingerprint_of({"a": "b"})


def test_a_computed_fingerprint_counts_labels_as_alertmanager_would() -> None:
    plain = read_alert(labels={"a": "b"})
    assert read_alert(labels={"a": "b", "empty": "", "null": None}).fingerprint == plain.fingerprint
    assert read_alert(labels={"a": "b"}, annotations={"x": "y"}, startsAt="2026-01-01T00:00:00Z").fingerprint == plain.fingerprint
    assert read_alert(labels={"a": "b\0"}).fingerprint == fingerprint_of({"a": "b\0"})
    assert read_alert(labels={"a": {"y": 1, "x": 2}}).fingerprint == read_alert(labels={"a": {"x": 2, "y": 1}}).fingerprint


def test_the_fingerprint_is_fnv_1a_over_names_and_values() -> None:
    """The captured bodies prove that it is Alertmanager's own; this holds it where they are absent."""
    hashed = 0xCBF29CE484222325
    for byte in b"alertname\xffHighCPU\xffpod\xfftest-pod\xffseverity\xffwarning\xff":
        hashed = (hashed ^ byte) * 0x100000001B3 % 2**64
    assert fingerprint_of({"severity": "warning", "alertname": "HighCPU", "pod": "test-pod"}) == f"{hashed:016x}" == "23a1798f70182e44"
    assert fingerprint_of({}) == "cbf29ce484222325"


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=6), st.randoms())
def test_a_fingerprint_depends_on_what_the_labels_are_and_not_on_their_order(labels: dict[str, str], random: Any) -> None:
    shuffled = list(labels.items())
    random.shuffle(shuffled)
    assert fingerprint_of(dict(shuffled)) == fingerprint_of(labels)
    assert re.fullmatch(r"[0-9a-f]{16}", fingerprint_of(labels))
    assert fingerprint_of(labels | {"one_more": "x"}) != fingerprint_of(labels)


@pytest.mark.parametrize(
    ("sent", "ends_at", "status"),
    [
        ("firing", None, "firing"),
        ("FIRING", "2026-11-23T11:00:00Z", "firing"),
        (" Resolved ", None, "resolved"),
        ("resolved", "2026-11-23T13:00:00Z", "resolved"),
        (None, None, "firing"),
        (None, "2026-11-23T11:59:59Z", "resolved"),
        (None, "2026-11-23T12:00:00Z", "resolved"),
        (None, "2026-11-23T12:00:01Z", "firing"),
        (None, "0001-01-01T00:00:00Z", "firing"),
        ("suppressed", "2026-11-23T11:00:00+02:00", "resolved"),
        (1, "tomorrow", "firing"),
        (["firing"], 5, "firing"),
    ],
)
def test_an_alert_without_a_readable_status_is_resolved_if_it_ended(sent: Any, ends_at: Any, status: str) -> None:
    entry = {"status": sent, "endsAt": ends_at}
    assert read_alert(**entry).status == status
    assert firing_count({"alerts": [entry]}, NOW) == (status == "firing")


@pytest.mark.parametrize("said", ["resolved", None, "nonsense"])
def test_the_messages_status_is_not_believed(said: Any) -> None:
    document = decode(orjson.dumps({"status": said, "truncatedAlerts": 7, "alerts": [{"status": "firing"}, {"status": "resolved"}]}))
    assert [alert.status for alert in parse(document, NOW).alerts] == ["firing", "resolved"]
    assert firing_count(document) == 1


@pytest.mark.parametrize(
    ("sent", "instant"),
    [
        ("2026-11-23T06:44:43.36801Z", datetime(2026, 11, 23, 6, 44, 43, 368010, tzinfo=UTC)),
        ("2026-11-23T06:44:43.371643675Z", datetime(2026, 11, 23, 6, 44, 43, 371643, tzinfo=UTC)),
        ("2026-11-23T08:44:43+02:00", datetime(2026, 11, 23, 6, 44, 43, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("9999-12-31T23:59:59-14:00", None),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("", None),
        ("yesterday", None),
        (1763880000, None),
        (None, None),
    ],
)
def test_starts_at_is_an_instant_or_unknown(sent: Any, instant: datetime | None) -> None:
    assert read_alert(startsAt=sent).starts_at == instant


def test_only_a_resolved_alert_has_an_end() -> None:
    ended = "2026-11-23T11:00:00Z"
    assert read_alert(status="firing", endsAt=ended).ends_at is None
    assert read_alert(status="resolved", endsAt=ended).ends_at == NOW - timedelta(hours=1)
    assert read_alert(status="resolved", endsAt="0001-01-01T00:00:00Z").ends_at is None


def test_values_that_are_no_texts_become_json_and_nothing_is_lost() -> None:
    sent = {"text": "as is ", "flag": True, "count": 3, "ratio": 0.5, "list": [1, None], "map": {"b": [], "a": {}}, "none": None, "": "x"}
    expected = {"text": "as is ", "flag": "true", "count": "3", "ratio": "0.5", "list": "[1,null]", "map": '{"a":{},"b":[]}', "": "x"}
    alert = read_alert(labels=sent | {"empty": ""}, annotations=sent | {"empty": ""})
    assert alert.labels == expected
    assert alert.annotations == expected | {"empty": ""}


def test_nul_becomes_visible_and_other_control_characters_pass() -> None:
    entry = rb'{"labels":{"a\u0000":"\u0000x"},"annotations":{"b":"\u0007\u202e\u0000"},"generatorURL":"\u0000"}'
    message = read(rb'{"groupKey":"k\u0000","alerts":[' + entry + b"]}")
    (alert,) = message.alerts
    assert alert.labels == {"a�": "�x"}
    assert alert.annotations == {"b": "\a\u202e�"}
    assert (alert.generator_url, message.group_key) == ("�", "k�")


@pytest.mark.parametrize("wrong", [None, 5, "text", True, [], [["alertname", "X"]], {}])
def test_maps_that_are_none_are_empty(wrong: Any) -> None:
    body = orjson.dumps(
        {"alerts": [{"labels": wrong, "annotations": wrong}], "groupLabels": wrong, "commonLabels": wrong, "commonAnnotations": wrong}
    )
    message = read(body)
    (alert,) = message.alerts
    assert (alert.labels, alert.annotations, alert.name) == ({}, {}, "unnamed")
    assert (message.group_labels, message.common_labels, message.common_annotations) == ({}, {}, {})


@pytest.mark.parametrize(("sent", "count"), [(7, 7), (0, 0), (-3, 0), (True, 0), ("7", 0), (None, 0), (2.5, 0)])
def test_truncated_alerts_is_a_count_or_nothing(sent: Any, count: int) -> None:
    assert read(orjson.dumps({"alerts": [], "truncatedAlerts": sent})).truncated_alerts == count


def test_unknown_fields_are_ignored() -> None:
    message = read(b'{"alerts":[{"labels":{"a":"b"},"valueString":"[]","silenceURL":"x"}],"orgId":1,"title":"x"}')
    assert [alert.labels for alert in message.alerts] == [{"a": "b"}]


def test_an_entry_that_is_no_object_is_a_fault_and_its_neighbours_stay() -> None:
    document = decode(b'{"alerts":[{"labels":{"a":"1"}},null,"x",3,false,["y"],{"labels":{"a":"2"}}]}')
    message = parse(document, NOW)
    assert [alert.labels["a"] for alert in message.alerts] == ["1", "2"]
    reasons = ["null", "a text", "a number", "true or false", "a list"]
    assert message.faults == tuple(
        AlertFault(position=position, reason=f"{reason}, not an object") for position, reason in enumerate(reasons, start=1)
    )
    assert (alert_count(document), firing_count(document)) == (7, 2)


# Bodies that cannot be read


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "The body is empty."),
        (b" \r\n\t", "The body is empty."),
        (b"alerts=%5B%5D", "The body is not JSON: "),
        (b'{"alerts":[{"labels":{"a":"b"}}', "The body is not JSON: unexpected end of data (line 1, column "),
        (b'{"alerts":[],"x":NaN}', "The body is not JSON: "),
        (b'{"alerts":[],"x":-Infinity}', "The body is not JSON: "),
        (b'{"alerts":[],"x":1e999}', "The body is not JSON: "),
        (b'{"alerts":[{"labels":{"a":"\\ud800"}}]}', "The body is not JSON: "),
        (b'{"alerts":[{"labels":{"a":"\xff"}}]}', "The body is not valid UTF-8."),
        (b'{"alerts":[{"labels":{"a":"\xed\xa0\x80"}}]}', "The body is not valid UTF-8."),
        ('{"alerts":[]}'.encode("utf-16"), "The body is not valid UTF-8."),
        (gzip.compress(b'{"alerts":[]}', mtime=0), "The body is compressed; "),
        (b"\x28\xb5\x2f\xfd\x20\x0d", "The body is compressed; "),
        (b'{"alerts":[]} {"alerts":[]}', "The body is not JSON: "),
        (b"[]", "The body is a list, not a JSON object."),
        (b"null", "The body is null, not a JSON object."),
        (b'"alerts"', "The body is a text, not a JSON object."),
        (b"42", "The body is a number, not a JSON object."),
        (b'{"alerts":{"labels":{}}}', "`alerts` is an object, not a list."),
        (b'{"alerts":"[]"}', "`alerts` is a text, not a list."),
        (b'{"alerts":false}', "`alerts` is true or false, not a list."),
        (b'{"text":"disk full"}', "There are no alerts in the body"),
        (b'{"status":"firing","text":"disk full"}', "There are no alerts in the body"),
    ],
)
def test_an_unreadable_body_is_refused_in_one_sentence(body: bytes, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        decode(body)
    assert str(caught.value).startswith(sentence)
    assert str(caught.value).endswith(".")
    assert len(str(caught.value)) < 150
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "body", [b'{"hunter2":NaN}', b"hunter2", b'{"hunter2":1}', b'{"alerts":"hunter2"}', b'"hunter2"', b'{"hunter2\xff":1}', b'{"hunter2']
)
def test_a_refusal_repeats_nothing_of_the_body(body: bytes) -> None:
    with pytest.raises(BadInput) as caught:
        decode(body)
    assert "hunter2" not in str(caught.value)


def nested(levels: int) -> bytes:
    """A legal body with this many arrays and objects inside each other."""
    inside = levels - 3  # the document, `alerts`, the alert
    return b'{"alerts":[{"x":' + b"[" * inside + b"]" * inside + b"}]}"


def test_nesting_is_legal_down_to_its_limit_and_not_one_deeper() -> None:
    assert alert_count(decode(nested(DEEPEST))) == 1
    for levels in (DEEPEST + 1, 500):
        with pytest.raises(BadInput, match="nested deeper than 32 levels"):
            decode(nested(levels))


def refused(body: bytes) -> None:
    with pytest.raises(BadInput):
        decode(body)


BRACKETS: tuple[Callable[[int], bytes], ...] = (
    lambda count: b"[" * count,
    lambda count: b'{"a":' * count,
    nested,
    lambda count: b'{"alerts":[' * (count // 2),
)


@pytest.mark.parametrize("brackets", BRACKETS, ids=range(len(BRACKETS)))
def test_a_hundred_thousand_brackets_neither_crash_nor_cost_more_than_their_number(brackets: Callable[[int], bytes]) -> None:
    assert growth(refused, brackets(12_500), brackets(100_000)) < FAR_BELOW_QUADRATIC


@pytest.mark.parametrize("crumb", [b"[]", b"{}", b"1.5", b'""', rb'"\"[["'])
def test_millions_of_crumbs_are_refused_before_they_take_memory(crumb: bytes) -> None:
    body = b'{"alerts":[' + (crumb + b",") * MOST_VALUES + crumb + b"]}"
    with pytest.raises(BadInput, match="more than 1,000,000 values"):
        decode(body)


def test_punctuation_in_a_text_is_no_value() -> None:
    log = ('[{,\\"' * 300_000).encode()
    document = decode(b'{"alerts":[{"annotations":{"log":"' + log + b'"}}]}')
    assert document["alerts"][0]["annotations"]["log"] == '[{,"' * 300_000


OPEN_TEXTS: tuple[Callable[[int], bytes], ...] = (
    lambda count: b'"' + b'\\"' * count,
    lambda count: b'"\\' * count,
    lambda count: b'"' * (3 * count),
    lambda count: b'"' * (6 * count),  # a million of these is more than all texts of a body can be
    lambda count: b'"' + b"\\" * (count - 1),
)


@pytest.mark.parametrize("tail", OPEN_TEXTS, ids=range(len(OPEN_TEXTS)))
def test_texts_that_never_end_cost_no_more_than_their_length(tail: Callable[[int], bytes]) -> None:
    def body(count: int) -> bytes:
        return b"," * (MOST_VALUES + 1) + tail(count)

    # Short ones first: a million would take hours where the time is quadratic.
    assert growth(refused, body(2_500), body(20_000)) < FAR_BELOW_QUADRATIC
    assert growth(refused, body(125_000), body(1_000_000)) < FAR_BELOW_QUADRATIC


# Storing


def test_what_is_stored_is_cut_visibly_and_keeps_its_fingerprint() -> None:
    labels = {"long": "x" * 5000, "n" * 2000: "v"}
    alert = read_alert(labels=labels, annotations={"log": "y" * 131_072}, generatorURL="http://" + "u" * URL_LIMIT)
    stored = capped(alert)
    assert stored.labels["long"] == "x" * LABEL_LIMIT + "…(+3976)"
    assert stored.labels["n" * LABEL_LIMIT + "…(+976)"] == "v"
    assert stored.annotations["log"] == "y" * ANNOTATION_LIMIT + "…(+126976)"
    assert stored.generator_url == ""
    assert stored.fingerprint == alert.fingerprint == fingerprint_of(alert.labels)
    assert len(alert.annotations["log"]) == 131_072


def test_what_is_stored_holds_no_secret_and_keeps_its_fingerprint() -> None:
    labels = {"alertname": "x", "password": "hunter22", "secret": "db-tls", "args": "--token hunter22"}
    alert = read_alert(labels=labels, annotations={"description": "y" * 4_090 + " password=hunter22"}, generatorURL="http://u:hunter22@p/graph")
    stored = capped(alert)
    assert "hunter" not in repr(stored)
    assert stored.labels["secret"] == "db-tls"
    assert stored.fingerprint == fingerprint_of(alert.labels)


def test_an_alert_of_usual_size_is_stored_as_it_is() -> None:
    (alert,) = read(HIGH_CPU).alerts
    assert capped(alert) == alert


# Anything at all

json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(min_value=-(2**63), max_value=2**64 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=8),
        st.sampled_from(["firing", "resolved", "2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "\0"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=6,
)
alert_fields = ["status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint", "x"]
odd_alerts = st.one_of(json_values, st.dictionaries(st.sampled_from(alert_fields), json_values, max_size=8))
message_fields = ["receiver", "status", "groupLabels", "commonLabels", "commonAnnotations", "externalURL", "groupKey", "truncatedAlerts"]
documents = st.builds(
    lambda alerts, rest: {**rest, **alerts},
    st.one_of(st.just({}), st.builds(lambda alerts: {"alerts": alerts}, st.one_of(st.lists(odd_alerts, max_size=4), json_values))),
    st.dictionaries(st.sampled_from([*message_fields, "x"]), json_values, max_size=4),
)


@settings(max_examples=200, deadline=None)
@given(st.one_of(documents, json_values))
def test_any_json_is_a_message_or_refused(value: Any) -> None:
    try:
        document = decode(orjson.dumps(value))
    except BadInput:
        return
    message = parse(document, NOW)
    assert len(message.alerts) + len(message.faults) == alert_count(document)
    assert sum(alert.status is AlertStatus.FIRING for alert in message.alerts) == firing_count(document, NOW)
    for alert in message.alerts:
        assert re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", alert.fingerprint)
        texts = [*alert.labels, *alert.labels.values(), *alert.annotations, *alert.annotations.values(), alert.generator_url]
        assert all(isinstance(text, str) and "\0" not in text for text in texts)
        assert all(alert.labels.values())


@settings(max_examples=150, deadline=None)
@given(st.lists(odd_alerts, max_size=4), odd_alerts, st.integers(min_value=0, max_value=4))
def test_an_odd_alert_never_changes_its_neighbours(neighbours: list[Any], odd: Any, place: int) -> None:
    place = min(place, len(neighbours))
    without = read(orjson.dumps({"alerts": neighbours}))
    with_odd = read(orjson.dumps({"alerts": [*neighbours[:place], odd, *neighbours[place:]]}))
    alone = read(orjson.dumps({"alerts": [odd]}))
    before = sum(isinstance(neighbour, dict) for neighbour in neighbours[:place])
    assert with_odd.alerts == (*without.alerts[:before], *alone.alerts, *without.alerts[before:])
    assert len(with_odd.faults) == len(without.faults) + len(alone.faults)


json_like = st.text(alphabet='{}[]":,\\0189eE+-.ntufalsr \ud800', max_size=40).map(lambda text: text.encode(errors="surrogatepass"))


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=60), json_like))
@example(b"\xef\xbb\xbf")
@example(b"\xef\xbb\xbf\xef\xbb\xbf{}")
def test_any_bytes_are_an_object_or_refused(body: bytes) -> None:
    try:
        document = decode(body)
    except BadInput:
        return
    assert isinstance(document, dict)
