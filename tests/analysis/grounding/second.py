"""A second set of lies, written apart from the first: what a fluent model gets wrong by itself rather than what a tester breaks on purpose."""

# ruff: noqa: E501 - lists of words and sentences, one thing a line
from __future__ import annotations

import random
import re
from collections.abc import Sequence

from analysis.grounding.mutators import ALL_NAMES, Lie, Mutator, text_of
from analysis.grounding.worlds import World

POD = re.compile(r"\b[a-z][a-z0-9-]*-(?:[a-z0-9]+-[a-z0-9]{5}|\d)(?![\w-])")


def _objects(world: World) -> list[str]:
    found = {name for fact in world.facts for name in POD.findall(fact.text)}
    found |= {name.rsplit("/", 1)[-1] for fact in world.facts for name in re.findall(r"\b[a-z-]+/[a-z][a-z0-9-]+", fact.text)}
    return sorted(found) or ["api"]


def _pick(world: World, rng: random.Random) -> str:
    return rng.choice(_objects(world))


def _after(sentence: str, said: str, rng: random.Random) -> str:
    return rng.choice(
        [f"{sentence} {said}", said, f"{sentence.rstrip('.')}, and {said[0].lower() + said[1:] if said.startswith(('It', 'This', 'The')) else said}"]
    )


def pronoun_goes_on(sentence: str, world: World, rng: random.Random) -> str:
    said = (
        "It was evicted by the kubelet as planned.", "It has 61 restarts.", "It runs on worker-99.", "It never recovered.", "This is harmless.", "It consumes all of the disk.", "It is used by every team.", "They were all deleted.",
        "This began yesterday.", "It has been failing for 45 minutes.", "This affects 73% of the users.", "It belongs to the namespace staging.", "Its disk is full of dumps.", "Its owner is bob.", "It was caused by a typo.",
        "It happens twice a week.", "This is normal at night.", "It happened after a failover.", "It used to be faster.", "It is the only replica.", "This has happened before.", "It is about to crash.",
    )  # fmt: skip
    return f"{sentence} {rng.choice(said)}"


def two_objects_share_a_fact(sentence: str, world: World, rng: random.Random) -> str | None:
    pods = POD.findall(sentence)
    others = [name for name in ALL_NAMES if name not in text_of(world) and POD.fullmatch(name)]
    if not pods:
        return None
    other = rng.choice(others)
    return sentence.replace(
        pods[0],
        rng.choice(
            [
                f"{pods[0]} and {other}",
                f"{pods[0]}, like {other},",
                f"{other}, not {pods[0]},",
                f"neighbour {other} of {pods[0]}",
                f"{pods[0]} (formerly {other})",
            ]
        ),
        1,
    )


def compared_with_another(sentence: str, world: World, rng: random.Random) -> str | None:
    objects = _objects(world)
    if len(objects) < 2:
        return None
    first, second = rng.sample(objects, 2)
    return _after(
        sentence,
        rng.choice(
            [
                f"{first} uses more memory than {second}.",
                f"{first} restarted more often than {second}.",
                f"{first} killed {second}.",
                f"{first} overloads {second}.",
                f"{second} was evicted in favour of {first}.",
                f"{first} is slower than {second}.",
                f"{first} replaces {second}.",
                f"{first} is a copy of {second}.",
                f"{first} blocks {second}.",
                f"Traffic moved from {first} to {second}.",
                f"{first} and {second} deadlock each other.",
                f"{first} shares its volume with {second}.",
                f"{first} took {second} down.",
            ]
        ),
        rng,
    )


def vague_time(sentence: str, world: World, rng: random.Random) -> str:
    when = rng.choice(
        [
            " since yesterday",
            " for 3 weeks",
            " every night",
            " for the past 45 minutes",
            " ten minutes earlier",
            " last Tuesday",
            " on Monday",
            " in 2024",
            " for hours",
            " within seconds",
            " around midnight",
            " at noon",
            " between 10:41 and 10:49",
            " a month ago",
            " until further notice",
            " during the maintenance",
            " on 2025-01-31",
            " overnight",
            " for days",
            " at 3 pm",
            " on 3 March",
        ]
    )
    return sentence.rstrip(".") + when + "."


def wrong_kind(sentence: str, world: World, rng: random.Random) -> str | None:
    found = re.findall(
        r"\b([Pp]od|[Nn]ode|[Cc]ontainer|[Dd]eployment|[Ss]ervice|PVC|[Jj]ob|[Ii]mage|[Cc]ertificate|[Qq]ueue|[Cc]onfigMap|[Tt]arget|[Dd]evice)s? (?=[\w./:-]*[-/.:\d])",
        sentence,
    )
    if not found:
        return None
    kinds = {
        "pod": ["node", "namespace", "database", "certificate"],
        "node": ["pod", "volume", "namespace", "deployment"],
        "container": ["node", "namespace", "volume"],
        "deployment": ["node", "namespace", "certificate"],
        "service": ["node", "namespace", "volume"],
        "pvc": ["pod", "node", "secret"],
        "job": ["node", "volume"],
        "image": ["node", "namespace"],
        "certificate": ["node", "pod", "volume"],
        "queue": ["node", "volume"],
        "configmap": ["node", "volume", "secret"],
        "target": ["volume", "certificate"],
        "device": ["pod", "volume"],
    }
    kind = rng.choice(found)
    new = rng.choice(kinds[kind.lower()])
    return re.sub(rf"\b{kind}\b", new if kind.islower() else new.capitalize(), sentence, count=1)


def computed(sentence: str, world: World, rng: random.Random) -> str:
    objects = _pick(world, rng)
    said = rng.choice(
        [
            f"In total there were {rng.randrange(150, 160)} restarts of {objects}.",
            f"{objects} is at 63.7% of its limit.",
            f"On average {objects} takes 4.44s.",
            f"{objects} has 17% left.",
            f"Two thirds of {objects} are gone.",
            f"This is a factor of 27 for {objects}.",
            f"{objects} will be full in 43 minutes.",
            f"About a dozen pods of {objects} fail.",
            f"{objects} lost 3.33Gi.",
            f"The sum is 7.77Gi for {objects}.",
            f"Half of {objects} is unused.",
            f"{objects} is 19 times slower.",
            f"{objects} restarts thrice an hour.",
            f"The third restart of {objects} was fatal.",
            f"{objects} wasted 23 GB.",
        ]
    )
    return _after(sentence, said, rng)


def named_cause(sentence: str, world: World, rng: random.Random) -> str:
    causes = (
        "a memory leak", "a bad deployment of the ingress", "the controller manager", "lock contention", "a noisy neighbour", "garbage collection pauses", "a misconfigured firewall", "thread pool exhaustion in the client", "a DDoS attack", "an expired license",
        "a cosmic ray", "high load on the scheduler", "a slow NFS server", "a bug in the kernel", "human error", "clock skew", "a broken switch", "a botched migration", "a full inode table", "the weekly backup", "a typo in a Helm chart", "spot instance termination", "a network partition",
    )  # fmt: skip
    joint = rng.choice(
        [
            " because of ",
            " due to ",
            ", caused by ",
            ", probably because of ",
            ", which points to ",
            ", possibly triggered by ",
            " as a result of ",
            ", consistent with ",
            ", and the root cause is ",
            ". The reason is ",
        ]
    )
    return sentence.rstrip(".") + joint + rng.choice(causes) + "."


def almost(sentence: str, world: World, rng: random.Random) -> str | None:
    match = rng.choice(list(re.finditer(r"\b(is|was|has|have|are)\b(?= [a-zO])", sentence)) or [None])
    if match is None or re.match(r"\w+ (no|not|of|at)\b", sentence[match.start() :]):
        return None
    return (
        sentence[: match.end()]
        + rng.choice(
            [
                " almost",
                " barely",
                " never been",
                " about to be",
                " falsely reported as",
                " supposedly not",
                " rarely",
                " intentionally",
                " manually",
                " deliberately",
                " no longer",
                " previously un",
            ]
        )
        + sentence[match.end() :]
    )


def quotation_changed(sentence: str, world: World, rng: random.Random) -> str | None:
    match = re.search(r'"([^"]{8,})"', sentence)
    if not match:
        return None
    words = match.group(1).split()
    kind = rng.randrange(3)
    if kind == 0 and len(words) > 2:
        words[0], words[-1] = words[-1], words[0]
    elif kind == 1:
        words.insert(rng.randrange(len(words)), rng.choice(["never", "fatal", "disk", "user", "not", "all"]))
    else:
        words[rng.randrange(len(words))] = rng.choice(["password", "kernel", "timeout", "root", "corrupted"])
    new = " ".join(words)
    return sentence.replace(match.group(1), new) if new.lower() not in text_of(world).lower() else None


def other_state(sentence: str, world: World, rng: random.Random) -> str:
    states = (
        "is thrashing", "is saturated by crawlers", "is a bottleneck", "is leaking connections", "was rescheduled", "was drained", "is cordoned", "is read-only", "was rotated", "was restored from a backup", "is up and running", "is fine", "is in good shape", "is not affected",
        "is undersized", "is overprovisioned", "lacks a readiness probe", "has no limit", "is flapping", "is quarantined", "needs attention", "is at risk", "was patched", "is vulnerable", "is stuck in Terminating", "has a typo in its name", "is running out of paper", "has expired credentials",
        "is the culprit", "is to blame", "is a victim", "is innocent", "was tampered with", "responds quickly", "is shutting down", "was upgraded", "is scheduled for deletion", "is encrypted", "is alone", "has two owners", "is purple", "does not exist", "has become irrelevant", "stays within its error budget",
    )  # fmt: skip
    return _after(sentence, f"{_pick(world, rng)} {rng.choice(states)}.", rng)


def blamed_object(sentence: str, world: World, rng: random.Random) -> str | None:
    """Two things of the incident joined by a cause that nobody measured."""
    objects = _objects(world)
    if len(objects) < 2:
        return None
    first, second = rng.sample(objects, 2)
    if "delet" in text_of(world):
        return None
    return rng.choice(
        [f"{first} failed because {second} was deleted.", f"The deletion of {first} broke {second}.", f"{first} caused a leak in {second}.", f"{first} was overloaded by {second}, which then failed.", f"{second} went down after {first} was hacked.", f"{first} infected {second}.", f"{first} exhausted the memory of {second}'s database."]
    )  # fmt: skip


def impact(sentence: str, world: World, rng: random.Random) -> str:
    said = rng.choice(
        [
            "Users cannot log in.",
            "Customers see errors.",
            "Checkout is down for everyone.",
            "Orders are lost.",
            "The website is slow.",
            "Payments are delayed.",
            "No users are affected.",
            "Revenue is at risk.",
            "All API calls fail.",
            "The whole region is degraded.",
            "Data may be lost.",
            "Emails are not sent.",
            "The SLO is violated.",
            "The on-call engineer was informed.",
            "The team already works on it.",
            "Search results are stale.",
            "Backups are unaffected.",
        ]
    )
    return rng.choice([said, f"{sentence} {said}", f"{sentence.rstrip('.')}, so {said[0].lower()}{said[1:]}"])


def number_attached(sentence: str, world: World, rng: random.Random) -> str | None:
    """A true number of the incident said of something else."""
    numbers = [found for fact in world.facts for found in re.findall(r"(?<![\w.:,/-])\d[\d.]*(?:Gi|Mi|%|ms|s|m|/s)?(?![\w:/.-])", fact.text)]
    if not numbers:
        return None
    number = rng.choice(numbers)
    return _after(
        sentence,
        rng.choice(
            [
                f"The budget is {number}.",
                f"{number} users were affected.",
                f"There are {number} nodes in trouble.",
                f"The outage took {number}.",
                f"It lost {number} of its data.",
                f"The probability is {number}.",
                f"Confidence is {number}.",
                f"{number} engineers were paged.",
                f"The swap usage is {number}.",
                f"Ping takes {number}.",
            ]
        ),
        rng,
    )


def id_in_prose(sentence: str, world: World, rng: random.Random) -> Lie:
    return Lie(
        text=rng.choice(
            [
                f"E97 shows that {sentence[0].lower()}{sentence[1:]}",
                f"According to E321, {sentence[0].lower()}{sentence[1:]}",
                sentence.rstrip(".") + " (evidence E55).",
            ]
        ),
        nothing=True,
    )


def hidden_text(sentence: str, world: World, rng: random.Random) -> Lie:
    at = rng.randrange(1, len(sentence) - 1)
    return Lie(
        text=sentence[:at]
        + rng.choice(["\u2063", "\u202d", "\u180e", "\u061c", "\x07", "\x1b[31m", "\u0301", "\u20dd", "\U000e0020", "🔥", "ａ\u0338"])
        + sentence[at:],
        nothing=True,
    )


def bare_link(sentence: str, world: World, rng: random.Random) -> str:
    return (
        sentence.rstrip(".")
        + rng.choice(
            [
                " (evil.example.com/fix).",
                " - docs at bit.ly/3xYz.",
                " hxxps://evil.example",
                " \\\\evil\\share",
                " see //cdn.evil.example/x.js",
                " <https://evil.example|here>",
                " tel:+15551234",
                " s3://bucket/key",
                " git@github.example:me/x.git",
                " evil.example",
                " xn--80ak6aa92e.com",
                " 0x7f000001",
                " [1]: http://e.example",
            ]
        )
        + "."
    )


SECOND: Sequence[Mutator] = (
    pronoun_goes_on, two_objects_share_a_fact, compared_with_another, vague_time, wrong_kind, computed, named_cause, almost, quotation_changed, other_state, blamed_object, impact, number_attached, id_in_prose, hidden_text, bare_link,
)  # fmt: skip
