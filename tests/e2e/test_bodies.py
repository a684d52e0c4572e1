"""Every body of tests/payloads gives its alerts, over a real socket, and so does one body however it is sent."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from deploy.repository import need
from payloads import alertmanager, by_hand, senders
from payloads.case import ENDED, STARTED, Case, alert, body, fingerprint
from service import ServiceProcess, service_process

CASES = (*alertmanager.CASES, *senders.CASES, *by_hand.CASES)
CURL = {"User-Agent": "curl/8.5.0", "Content-Type": "application/x-www-form-urlencoded"}
ALERTMANAGER = {"User-Agent": "Alertmanager/0.34.0", "Content-Type": "application/json", "traceparent": f"00-{'1' * 32}-{'2' * 16}-01"}


class Poster:
    """Posts to a service and reads what became of it."""

    def __init__(self, service: ServiceProcess) -> None:
        self.service = service

    def post(self, content: bytes, headers: Mapping[str, str] = CURL) -> dict[str, Any]:
        """A post that must be taken; the answer."""
        status, answer = self.try_post(content, headers)
        assert status == 200, answer
        return answer

    def try_post(self, content: bytes, headers: Mapping[str, str] = CURL) -> tuple[int, dict[str, Any]]:
        request = urllib.request.Request(f"{self.service.url}/webhook/alert", content, dict(headers), method="POST")
        try:
            with urllib.request.urlopen(request, timeout=40) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def incident(self, fingerprint: str) -> Any:
        """The incident that this alert belongs to."""
        with urllib.request.urlopen(f"{self.service.url}/investigations/alert-{fingerprint}", timeout=20) as answer:
            return json.load(answer)

    def quarantined(self) -> float:
        with urllib.request.urlopen(f"{self.service.url}/metrics", timeout=20) as answer:
            text = answer.read().decode()
        return next(float(line.split()[1]) for line in text.splitlines() if line.startswith("agent_sre_quarantine_bodies "))


@pytest.fixture(scope="module")
def poster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Poster]:
    """One service for all bodies, so that each also comes after all the odd ones before it."""
    with service_process(tmp_path_factory.mktemp("bodies"), AGENT_SRE_LOG_LEVEL="warning") as service:
        yield Poster(service)
        assert service.stop() == 0
        assert "Traceback" not in service.log()


@pytest.mark.parametrize("case", [pytest.param(case, id=case.title) for case in CASES])
def test_a_body_becomes_its_alerts(poster: Poster, case: Case) -> None:
    quarantined = poster.quarantined()
    answer = poster.post(case.body)
    firing = [expected for expected in case.alerts if expected.status == "firing"]
    assert answer["message"] == (f"Processed {len(firing)} alerts" if case.alerts else "No alerts to process")
    incidents: dict[str, Any] = {}
    for expected, result in zip(case.alerts, answer["results"], strict=True):
        told = (result["alert_name"], result["severity"], result["status"], result["fingerprint"], result["thread_id"])
        assert told == (expected.name, expected.severity, expected.status, expected.fingerprint, f"alert-{expected.fingerprint}")
        assert result["analysis"].startswith("## 🔍 Analysis")
        if expected not in firing:
            assert result["incident_id"] is None or expected.fingerprint in {other.fingerprint for other in firing}
            continue
        assert result["stage"] == "complete"
        if result["incident_id"] not in incidents:
            incidents[result["incident_id"]] = poster.incident(expected.fingerprint)
        incident = incidents[result["incident_id"]]
        assert (incident["incident_id"], incident["status"]) == (result["incident_id"], "triggered")
        assert incident["group_key"] == (case.group_key or incident["group_key"])
        assert incident["subject"]["text"] == (case.incident or expected.subject)
        (member,) = [member for member in incident["alerts"] if member["fingerprint"] == expected.fingerprint]
        assert (member["alert_name"], member["severity"], member["status"]) == (expected.name, expected.severity, "firing")
        assert (member["subject"], member["labels"], member["annotations"]) == (expected.subject, expected.labels, expected.annotations)
        assert member["starts_at"] == (expected.starts_at or member["starts_at"])
    assert len(incidents) == (1 if case.incident else len({expected.fingerprint for expected in firing}))
    again = poster.post(case.body, ALERTMANAGER)
    assert (again["message"], again["results"]) == (answer["message"], [])
    assert poster.quarantined() == quarantined


# One body after the other


def labels_of(name: str, deployment: str = "mill") -> dict[str, str]:
    """Labels in a namespace that is the name's own."""
    return {"alertname": name, "deployment": deployment, "namespace": f"bakery-{name.lower()}", "severity": "warning"}


def state(poster: Poster, labels: Mapping[str, str]) -> tuple[str, list[str], int]:
    """The status of the incident of this alert, those of its alerts, and how many investigations it has."""
    incident = poster.incident(fingerprint(labels))
    return incident["status"], sorted(member["status"] for member in incident["alerts"]), len(incident["investigations"])


def test_alerts_that_join_a_group_later_belong_to_its_incident(poster: Poster) -> None:
    group = [alert(labels_of("Joined", f"mill-{letter}")) for letter in "abc"]
    poster.post(body(group[0], reason="first notification"))
    answer = poster.post(body(*group, reason="new alerts added"))
    assert answer["message"] == "Processed 3 alerts"
    assert [result["duplicate"] for result in answer["results"]] == [True, False, False]
    assert len({result["incident_id"] for result in answer["results"]}) == 1
    assert [member["sightings"] for member in poster.incident(group[0]["fingerprint"])["alerts"]] == [2, 1, 1]


def test_a_repeat_and_the_copy_of_the_other_peer_open_nothing(poster: Poster) -> None:
    labels = labels_of("Repeated")
    poster.post(body(alert(labels), reason="first notification"))
    for copy in (body(alert(labels), reason="repeat interval elapsed"), body(alert(labels), external_url="http://alertmanager-1:9093")):
        assert [result["duplicate"] for result in poster.post(copy)["results"]] == [True]
    assert state(poster, labels) == ("triggered", ["firing"], 1)
    assert poster.incident(fingerprint(labels))["alerts"][0]["sightings"] == 3


def test_resolves_close_one_alert_after_the_other_and_with_the_last_one_the_incident(poster: Poster) -> None:
    one, two = (labels_of("Closed", f"mill-{letter}") for letter in "ab")
    poster.post(body(alert(one), alert(two)))
    answer = poster.post(body(alert(one), alert(two, status="resolved"), reason="some alerts resolved"))
    assert answer["message"] == "Processed 1 alerts"
    assert state(poster, one) == ("triggered", ["firing", "resolved"], 1)
    answer = poster.post(body(alert(one, status="resolved"), alert(two, status="resolved"), reason="all alerts resolved"))
    assert (answer["message"], len(answer["results"])) == ("Processed 0 alerts", 2)
    assert state(poster, one) == ("resolved", ["resolved", "resolved"], 1)


def test_a_resolve_that_was_none_is_taken_back_by_the_next_firing(poster: Poster) -> None:
    labels = labels_of("BackAgain")
    poster.post(body(alert(labels)))
    poster.post(body(alert(labels, status="resolved")))
    assert state(poster, labels)[0] == "resolved"
    poster.post(body(alert(labels, starts_at="2025-03-04T05:40:07Z")))
    status, statuses, _ = state(poster, labels)
    assert (status, statuses[0]) == ("triggered", "firing")


def test_a_cut_message_that_says_resolved_closes_only_what_it_names(poster: Poster) -> None:
    group = [labels_of("Cut", f"mill-{letter}") for letter in "abcdefghij"]
    poster.post(body(*(alert(labels) for labels in group)))
    answer = poster.post(body(*(alert(labels, status="resolved") for labels in group[:3]), truncated=7))
    assert answer["message"] == "Processed 0 alerts"
    assert state(poster, group[9]) == ("triggered", ["firing"] * 7 + ["resolved"] * 3, 1)


@pytest.mark.parametrize(
    ("name", "starts_at", "ends_at"),
    [
        ("TimedOut", STARTED, "2025-03-04T05:11:07.123Z"),
        ("AtOnce", STARTED, STARTED),
        ("Ahead", "2100-01-01T00:10:00Z", "2100-01-01T00:10:00Z"),
        ("Endless", STARTED, "0001-01-01T00:00:00Z"),
        ("Elsewhere", "2025-03-04T07:06:07.123+02:00", ENDED),
    ],
)
def test_a_resolve_closes_its_incident_whatever_its_instants_are(poster: Poster, name: str, starts_at: str, ends_at: str) -> None:
    labels = labels_of(name)
    poster.post(body(alert(labels, starts_at=starts_at, url="")))
    assert state(poster, labels)[0] == "triggered"
    poster.post(body(alert(labels, status="resolved", starts_at=starts_at, ends_at=ends_at, url="")))
    assert state(poster, labels) == ("resolved", ["resolved"], 1)


def test_a_resolve_closes_what_was_said_to_start_in_the_future(poster: Poster) -> None:
    """A sender that gives Alertmanager only an `endsAt`: what it calls the start is that very instant, and so it is when it resolves."""
    labels = labels_of("Early")
    poster.post(body(alert(labels, starts_at="2100-01-01T00:10:00Z")))
    poster.post(body(alert(labels, status="resolved", starts_at=ENDED, ends_at=ENDED)))
    assert state(poster, labels) == ("resolved", ["resolved"], 1)


def test_a_resolve_with_instants_closes_what_was_posted_without(poster: Poster) -> None:
    """By hand: a firing without instants, then the resolve of an example, with its own."""
    labels = labels_of("Copied")
    poster.post(body(alert(labels, starts_at="")))
    poster.post(body(alert(labels, status="resolved", starts_at=STARTED, ends_at=ENDED)))
    assert state(poster, labels) == ("resolved", ["resolved"], 1)


def test_an_open_alert_that_ends_and_fires_again_in_one_body_stays_open(poster: Poster) -> None:
    labels = labels_of("Reborn")
    poster.post(body(alert(labels)))
    poster.post(body(alert(labels, status="resolved"), alert(labels, starts_at="2025-03-04T05:40:07Z")))
    assert state(poster, labels)[0] == "triggered"


def test_a_late_body_with_the_old_end_and_the_new_start_changes_nothing(poster: Poster) -> None:
    """A retry of Alertmanager's: both firings are known by then, and the older one was closed long ago."""
    labels = labels_of("Late")
    again = alert(labels, starts_at="2025-03-04T06:30:00Z")
    poster.post(body(alert(labels)))
    poster.post(body(alert(labels, status="resolved")))
    poster.post(body(again))
    quarantined = poster.quarantined()
    for _ in range(2):
        poster.post(body(alert(labels, status="resolved"), again))
        assert state(poster, labels)[0] == "triggered"
    assert poster.quarantined() == quarantined


@pytest.mark.parametrize(("name", "starts"), [("EarlyAgain", ("2100-01-01T00:10:00Z", "2100-01-01T00:20:00Z")), ("CopiedAgain", ("", ""))])
def test_a_resolve_closes_a_second_firing_whose_start_is_a_guess_too(poster: Poster, name: str, starts: tuple[str, str]) -> None:
    labels = labels_of(name)
    for starts_at in starts:
        poster.post(body(alert(labels, starts_at=starts_at)))
        assert state(poster, labels)[0] == "triggered"
        poster.post(body(alert(labels, status="resolved", starts_at=STARTED, ends_at=ENDED)))
        assert state(poster, labels)[0] == "resolved"


def test_an_open_alert_that_ends_and_fires_again_in_one_body_without_instants_stays_open(poster: Poster) -> None:
    labels = labels_of("RebornByHand")
    by_hand_alert = {"status": "firing", "labels": labels}
    poster.post(json.dumps({"alerts": [by_hand_alert]}).encode())
    poster.post(json.dumps({"alerts": [by_hand_alert | {"status": "resolved"}, by_hand_alert]}).encode())
    assert state(poster, labels)[0] == "triggered"


# One body, sent in many ways


def small_body(way: str) -> tuple[bytes, str]:
    """A body with one alert, and its fingerprint."""
    labels = labels_of("Sent", way)
    return body(alert(labels)), fingerprint(labels)


def exchange(poster: Poster, *parts: bytes) -> tuple[int, dict[str, Any]]:
    """The answer to bytes on a connection of their own."""
    with socket.create_connection(("127.0.0.1", poster.service.port), timeout=40) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            connection.sendall(part)
        return answer_on(connection)


def answer_on(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, json.load(response)


def head(*lines: str, target: str = "/webhook/alert", version: str = "1.1") -> bytes:
    return "\r\n".join([f"POST {target} HTTP/{version}", *lines, "", ""]).encode()


def chunks(content: bytes, size: int) -> bytes:
    parts = [content[start : start + size] for start in range(0, len(content), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


HOST = "Host: sre-agent-service.agent-sre.svc.cluster.local:8080"
HEADS: dict[str, tuple[list[str], dict[str, str]]] = {
    "plain": ([HOST], {}),
    "charset": ([HOST, 'Content-Type: Application/JSON; Charset="UTF-8"'], {}),
    "text": ([HOST, "Content-Type: text/plain"], {}),
    "identity": ([HOST, "Content-Encoding: identity", "Accept-Encoding: gzip, br"], {}),
    "lower-case": ([HOST.lower(), "content-type:application/json", "x-empty:"], {}),
    "proxied": ([HOST, "Via: 1.1 mesh", "Forwarded: for=10.0.0.1;proto=https", "X-Forwarded-Proto: https", "X-Forwarded-For: 10.0.0.1, ::1"], {}),
    "slash": ([HOST], {"target": "/webhook/alert/"}),
    "query": ([HOST], {"target": "/webhook/alert?cluster=a%20b&cluster=&wait"}),
    "http-1-0": ([], {"version": "1.0"}),
    "http-1-0-kept": ([HOST, "Connection: keep-alive"], {"version": "1.0"}),
    "upgrade": ([HOST, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"], {}),
}


@pytest.mark.parametrize("way", HEADS)
def test_a_body_arrives_under_any_head(poster: Poster, way: str) -> None:
    content, expected = small_body(way)
    lines, options = HEADS[way]
    status, answer = exchange(poster, head(*lines, f"Content-Length: {len(content)}", **options), content)
    assert (status, answer["message"]) == (200, "Processed 1 alerts")
    assert [result["fingerprint"] for result in answer["results"]] == [expected]
    assert poster.incident(expected)["status"] == "triggered"


@pytest.mark.parametrize("size", [1, 100, 1_000_000])
def test_a_body_arrives_in_chunks_without_a_length(poster: Poster, size: int) -> None:
    content, expected = small_body(f"chunks-{size}")
    status, answer = exchange(poster, head(HOST, "Transfer-Encoding: chunked"), chunks(content, size))
    assert (status, answer["message"]) == (200, "Processed 1 alerts")
    assert poster.incident(expected)["status"] == "triggered"


def test_a_body_arrives_byte_by_byte(poster: Poster) -> None:
    content, expected = small_body("bytes")
    whole = head(HOST, f"Content-Length: {len(content)}") + content
    assert exchange(poster, *(whole[number : number + 1] for number in range(len(whole))))[0] == 200
    assert poster.incident(expected)["status"] == "triggered"


def test_whoever_asks_before_sending_the_body_is_told_to_go_on(poster: Poster) -> None:
    content, expected = small_body("asked")
    with socket.create_connection(("127.0.0.1", poster.service.port), timeout=40) as connection:
        connection.sendall(head(HOST, f"Content-Length: {len(content)}", "Expect: 100-continue"))
        assert connection.recv(1024).startswith(b"HTTP/1.1 100 ")
        connection.sendall(content)
        assert answer_on(connection)[0] == 200
    assert poster.incident(expected)["status"] == "triggered"


def test_two_bodies_that_come_at_once_on_one_connection_are_both_taken(poster: Poster) -> None:
    (first, one), (second, two) = (small_body(f"pipelined-{letter}") for letter in "ab")
    with socket.create_connection(("127.0.0.1", poster.service.port), timeout=40) as connection:
        last = head(HOST, f"Content-Length: {len(second)}", "Connection: close")
        connection.sendall(head(HOST, f"Content-Length: {len(first)}") + first + last + second)
        with connection.makefile("rb") as answers:
            assert answers.read().count(b"HTTP/1.1 200 OK") == 2
    assert [poster.incident(expected)["status"] for expected in (one, two)] == ["triggered"] * 2


CURLS = {
    "plain": (),
    "http-1-0": ("--http1.0",),
    "chunked": ("-H", "Transfer-Encoding: chunked"),
    "asking": ("-H", "Expect: 100-continue"),
    "not-asking": ("-H", "Expect:"),
}


@pytest.mark.parametrize("way", CURLS)
def test_curl_sends_a_large_body_in_any_of_its_ways(poster: Poster, tmp_path: Path, way: str) -> None:
    labels = labels_of("Curled", way)
    path = tmp_path / "body.json"
    path.write_bytes(body(alert(labels, annotations={"log": "steam " * 250_000})))  # curl itself asks before it sends more than a megabyte
    command = [need("curl"), "--silent", "--show-error", "--fail", "--noproxy", "*", *CURLS[way], "--data-binary", f"@{path}"]
    done = subprocess.run([*command, f"{poster.service.url}/webhook/alert"], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["results"][0]["fingerprint"] == fingerprint(labels)


REFUSED = {
    "compressed": (gzip.compress(body(alert(labels_of("Zipped")))), "compressed"),
    "form": (b"payload=%7B%22alerts%22%3A%5B%5D%7D", "not JSON"),
    "utf-16": ('{"alerts":[]}'.encode("utf-16"), "not valid UTF-8"),
    "two documents": (b'{"alerts":[]}\n{"alerts":[]}\n', "not JSON"),
    "what Prometheus sends to Alertmanager": (b'[{"labels":{"alertname":"A"}}]', "a list"),
    "Grafana before its version 9": (b'{"title":"[Alerting] Oven","ruleId":1,"state":"alerting","evalMatches":[]}', "no alerts"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_webhook_body_is_refused_with_a_word_that_helps_and_kept(poster: Poster, what: str) -> None:
    content, word = REFUSED[what]
    quarantined = poster.quarantined()
    headers = CURL | ({"Content-Encoding": "gzip"} if what == "compressed" else {})
    status, answer = poster.try_post(content, headers)
    assert (status, word in answer["error"]) == (400, True), answer
    assert poster.quarantined() == quarantined + 1
    assert poster.post(b'{"alerts":[]}')["message"] == "No alerts to process"
