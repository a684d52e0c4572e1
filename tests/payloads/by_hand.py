"""What people send with curl and scripts. JSON allows all of it, and each is meant as an alert."""

from __future__ import annotations

import json
from typing import Any

from payloads.case import Case, Expected, fingerprint


def hand(name: str, namespace: int, **labels: str) -> dict[str, str]:
    """Labels as people write them."""
    return {"alertname": name, "severity": "warning", "namespace": f"bakery-{namespace}", **labels}


def text(document: Any, **options: Any) -> bytes:
    """JSON as scripts write it: with spaces, and everything beyond ASCII escaped."""
    return json.dumps(document, **options).encode()


LOUD = hand("OvenLoud", 61, service="oven")
NUMBERED = hand("OvenQuiet", 62, service="oven")
UNLABELLED = hand("LabelsForgotten", 63, service="labels")
TYPED = hand("TypedLabels", 64, service="typed", port="8080", ratio="0.75", on="true", off="false", tags='["a",1]', spec='{"a":{},"z":null}')
TYPED_SENT: dict[str, Any] = TYPED | {
    "port": 8080,
    "ratio": 0.75,
    "on": True,
    "off": False,
    "tags": ["a", 1],
    "spec": {"z": None, "a": {}},
    "nothing": None,
}
MARKED = hand("ByteOrderMark", 65, service="mark")
SPACED = hand("Spaces", 66, service="spaces")
TWICE = hand("SaidTwice", 67, service="twice")
OPENED = hand("OpenedAndClosed", 68, deployment="opened")
CLOSED = hand("ClosedAndOpened", 68, deployment="closed")
NAKED = hand("OnlyLabels", 69, service="naked")
GAPS = hand("EmptyValues", 70, service="gaps")
CLOCKLESS = hand("NoClock", 71, service="clockless")
CAPITAL = hand("CapitalHex", 72, deployment="capital")
NUMERIC = hand("NumberAsFingerprint", 72, deployment="numeric")
LONG = hand("LongFingerprint", 72, deployment="long")
AMONG = [hand("AmongOddOnes", 73, deployment=name) for name in ("first", "second", "third")]
ESCAPED = hand("Ofen zu heiß 🔥", 74, service="ofen")
REPEATED_KEY = hand("TheLastOneCounts", 75, service="last")
MORE = hand("MoreFields", 76, service="more")
SOON = hand("StartsWhenItEnds", 77, service="soon")
BIG = hand("BigNumbers", 78, service="big")

CASES = (
    Case(
        title="a status in capitals",
        body=text({"alerts": [{"status": "FIRING", "labels": LOUD}, {"status": "Resolved", "labels": LOUD | {"service": "mixer"}}]}),
        alerts=[
            Expected(labels=LOUD, subject="Service bakery-61/oven"),
            Expected(labels=LOUD | {"service": "mixer"}, subject="", status="resolved"),
        ],
    ),
    Case(
        title="the version as a number, and a truncatedAlerts of null",
        body=text({"version": 4, "truncatedAlerts": None, "status": "firing", "alerts": [{"status": "firing", "labels": NUMBERED}]}),
        alerts=[Expected(labels=NUMBERED, subject="Service bakery-62/oven")],
    ),
    Case(title="alerts that are null", body=b'{"version":"4","status":"firing","alerts":null}', alerts=[]),
    Case(
        title="labels that are null beside a whole alert",
        body=text({"alerts": [{"status": "firing", "labels": None, "annotations": None}, {"status": "firing", "labels": UNLABELLED}]}),
        alerts=[Expected(labels={}, subject="Alert unnamed"), Expected(labels=UNLABELLED, subject="Service bakery-63/labels")],
    ),
    Case(
        title="labels that are numbers, truths, lists and objects",
        body=text({"alerts": [{"status": "firing", "labels": TYPED_SENT}]}),
        alerts=[Expected(labels=TYPED, subject="Service bakery-64/typed")],
    ),
    Case(
        title="a byte order mark in front and a line break behind",
        body=b"\xef\xbb\xbf" + text({"alerts": [{"status": "firing", "labels": MARKED}]}) + b"\r\n",
        alerts=[Expected(labels=MARKED, subject="Service bakery-65/mark")],
    ),
    Case(
        title="written for people, with white space all around",
        body=b"\n\t \r\n" + text({"alerts": [{"status": "firing", "labels": SPACED}]}, indent=4).replace(b"\n", b"\r\n") + b"\n\n ",
        alerts=[Expected(labels=SPACED, subject="Service bakery-66/spaces")],
    ),
    Case(
        title="one alert twice",
        body=text({"alerts": [{"status": "firing", "labels": TWICE}] * 2}),
        alerts=[Expected(labels=TWICE, subject="Service bakery-67/twice")] * 2,
    ),
    Case(
        title="one alert firing and resolved, in both orders",
        body=text(
            {
                "alerts": [
                    {"status": status, "labels": labels}
                    for labels, status in ((OPENED, "firing"), (OPENED, "resolved"), (CLOSED, "resolved"), (CLOSED, "firing"))
                ]
            }
        ),
        alerts=[
            Expected(labels=OPENED, subject="Deployment bakery-68/opened"),
            Expected(labels=OPENED, subject="", status="resolved"),
            Expected(labels=CLOSED, subject="", status="resolved"),
            Expected(labels=CLOSED, subject="Deployment bakery-68/closed"),
        ],
    ),
    Case(
        title="labels and nothing else",
        body=text({"alerts": [{"labels": NAKED}]}),
        alerts=[Expected(labels=NAKED, subject="Service bakery-69/naked")],
    ),
    Case(
        title="labels without a value",
        body=text({"alerts": [{"status": "firing", "labels": GAPS | {"pod": "", "node": None, "": "nameless"}, "annotations": {"summary": None}}]}),
        alerts=[Expected(labels=GAPS | {"": "nameless"}, subject="Service bakery-70/gaps")],
    ),
    Case(
        title="instants that are none",
        body=text({"alerts": [{"status": "firing", "labels": CLOCKLESS, "startsAt": 1741064767, "endsAt": "tomorrow", "generatorURL": 7}]}),
        alerts=[Expected(labels=CLOCKLESS, subject="Service bakery-71/clockless")],
    ),
    Case(
        title="fingerprints in capitals, as a number, and too long",
        body=text(
            {
                "alerts": [
                    {"status": "firing", "labels": CAPITAL, "fingerprint": "ABCDEF0123456789"},
                    {"status": "firing", "labels": NUMERIC, "fingerprint": 1234567890123456},
                    {"status": "firing", "labels": LONG, "fingerprint": "f" * 200},
                ]
            }
        ),
        alerts=[
            Expected(labels=CAPITAL, fingerprint="ABCDEF0123456789", subject="Deployment bakery-72/capital"),
            Expected(labels=NUMERIC, fingerprint=fingerprint(NUMERIC), subject="Deployment bakery-72/numeric"),
            Expected(labels=LONG, fingerprint=fingerprint(LONG), subject="Deployment bakery-72/long"),
        ],
    ),
    Case(
        title="alerts among entries that are none",
        body=text({"alerts": [None, {"labels": AMONG[0]}, 7, "alert", {"labels": AMONG[1]}, [[]], True, {"labels": AMONG[2]}]}),
        alerts=[Expected(labels=labels, subject=f"Deployment bakery-73/{labels['deployment']}") for labels in AMONG],
    ),
    Case(
        title="everything beyond ASCII escaped",
        body=text({"alerts": [{"status": "firing", "labels": ESCAPED, "annotations": {"summary": "Größe « 🥐 »"}}]}),
        alerts=[Expected(labels=ESCAPED, annotations={"summary": "Größe « 🥐 »"}, subject="Service bakery-74/ofen")],
    ),
    Case(
        title="the same key twice",
        body=b'{"alerts":[],"alerts":[{"status":"resolved","status":"firing","labels":' + text(REPEATED_KEY) + b"}]}",
        alerts=[Expected(labels=REPEATED_KEY, subject="Service bakery-75/last")],
    ),
    Case(
        title="fields that nobody knows, some deep",
        body=text({"cluster": "x", "nested": [[[[{}]]]], "alerts": [{"status": "firing", "labels": MORE, "value": 3, "links": [{"href": "#"}]}]}),
        alerts=[Expected(labels=MORE, subject="Service bakery-76/more")],
    ),
    Case(
        title="a startsAt that is the endsAt, in the future",
        body=text({"alerts": [{"labels": SOON, "startsAt": "2100-01-01T00:10:00Z", "endsAt": "2100-01-01T00:10:00Z"}]}),
        alerts=[Expected(labels=SOON, subject="Service bakery-77/soon")],
    ),
    Case(
        title="numbers beyond 64 bits",
        body=b'{"orgId":123456789012345678901234567890,"alerts":[{"status":"firing","value":1e308,"labels":' + text(BIG) + b"}]}",
        alerts=[Expected(labels=BIG, subject="Service bakery-78/big")],
    ),
)
