"""`python -m bench [--quick]`: runs everything, prints medians, ratios and whether each goal is met."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from agent_sre.alert.subject import Subject
from agent_sre.evidence.logs.mine import mine
from bench import gather, verdict
from bench.bodies import HEADERS, body, fingerprint, log_lines
from bench.processes import REPOSITORY, ask, free_port, running, serving
from bench.server import MODES

BODY_ALERTS = 50


def main() -> None:
    """All benchmarks, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Performance as ratios against baselines of the same run.")
    parser.add_argument("--runs", type=int, default=3, choices=range(1, 10), help="what is printed is the median of these (default 3)")
    parser.add_argument("--quick", action="store_true", help="one run with a shorter load")
    arguments = parser.parse_args()
    runs = 1 if arguments.quick else arguments.runs
    print(f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}, medians of {runs} runs")
    throughput(runs, seconds=1.0 if arguments.quick else 3.0)
    reports(runs, alerts=10 if arguments.quick else 40)
    evidence(times=10 if arguments.quick else 40)
    evidence_of_all(times=5 if arguments.quick else 20)
    verdicts(times=5 if arguments.quick else 20)
    mining(runs, lines=50_000 if arguments.quick else 200_000)
    footprint(runs, idle_seconds=5.0)
    single_steps(runs)


def evidence(*, times: int) -> None:
    """How soon there is evidence."""
    section(f"Gather from a real Prometheus with {gather.SERIES:,} series, {times} times")
    try:
        found = gather.measured(times)
    except gather.Missing as missing:
        print(f"  skipped: {missing}.")
        return
    bare = quantile(found["bare"], 0.5)
    line("bare query=1 round trip, p50", bare * 1000, " ms", digits=1)
    for name, words in (("anew", "nothing known of the server"), ("again", "its metrics known")):
        p50, p95 = quantile(found[name], 0.5), quantile(found[name], 0.95)
        line(f"gather, {words}, p50", p50 * 1000, " ms")
        line(f"gather, {words}, p95", p95 * 1000, " ms", goal("p95", p95 * 1000, "<", 1200, " ms"))
        line("  of bare round trips, p50", p50 / bare, " times")
    line("series kept, questions without an answer", median(found["series"]), f" and {median(found['gaps']):.0f}")


def evidence_of_all(*, times: int) -> None:
    """How soon there is evidence where every source is asked, and one of them is broken."""
    section(f"Gather from Prometheus ({gather.SERIES:,} series), a cluster, logs and alerts at once, {times} times each")
    try:
        found = gather.measured_with_all(times)
    except gather.Missing as missing:
        print(f"  skipped: {missing}.")
        return
    for case, rounds in found.items():
        answers = f"   {median(each.answers for each in rounds):.0f} answers"
        with_fault(case, [each.seconds for each in rounds], [each.gaps for each in rounds], limits=(1200, 2000), more=answers)


def with_fault(
    case: tuple[str, str], seconds: Sequence[float], gaps: Sequence[Sequence[str]], *, limits: tuple[float, float], more: str = ""
) -> None:
    """The figures of one fault (source, way), or of none: how long, and whose questions stayed open. `limits` in ms: all well, one broken."""
    broken, fault = case
    p95 = quantile(seconds, 0.95) * 1000
    silent = sorted({name for each in gaps for name in each})
    told = goal("p95", p95, "<", limits[bool(broken)], " ms") + more + (f"   open: {', '.join(silent)}" if silent else "")
    line(f"{broken}: {fault}, p95" if broken else "all well, p95", p95, " ms", told)
    if not broken:
        line("all well, p50", quantile(seconds, 0.5) * 1000, " ms")


def verdicts(*, times: int) -> None:
    """How soon the service says what is wrong, and how long the rules think about it."""
    section(f"Post to verdict with Prometheus ({gather.SERIES:,} series), a cluster, logs and alerts around the service, {times} alerts each")
    try:
        found = verdict.measured(times)
    except gather.Missing as missing:
        print(f"  skipped: {missing}.")
        return
    for case, rounds in found.items():
        with_fault(case, [each.seconds for each in rounds], [each.gaps for each in rounds], limits=(2000, 2500))
    ours, least = verdict.thinking(3)
    line("rules alone over 1,000 curves, CPU time", ours * 1000, " ms", goal("rules", ours * 1000, "<", 1000, " ms"))
    line("  of sorting the values of each curve", ours / least, " times")


def throughput(runs: int, *, seconds: float) -> None:
    """Accepted posts a second, the four servers in turn, so that a noisy moment hits all of them."""
    size = len(body(0, alerts=BODY_ALERTS))
    section(f"Webhook posts of {BODY_ALERTS} alerts ({size / 1000:.0f} kB), {seconds:g} s a run")
    print(f"  {'bare append and fsync of one body':<52}{median([_fsyncs(size) for _ in range(runs)]):>9.0f} /s")
    for clients in (16, 64):
        rates: dict[str, list[float]] = {mode: [] for mode in MODES}
        halves: dict[str, list[float]] = {mode: [] for mode in MODES}
        tails: dict[str, list[float]] = {mode: [] for mode in MODES}
        for _ in range(runs):
            for mode in MODES:
                latencies = _load(mode, clients, seconds)
                rates[mode].append(len(latencies) / seconds)
                halves[mode].append(quantile(latencies, 0.5) * 1000)
                tails[mode].append(quantile(latencies, 0.99) * 1000)
        print(f"  {clients} keep-alive clients:                     posts/s   of nostore   p50 ms   p99 ms")
        for mode in MODES:
            ratio = median(a / b for a, b in zip(rates[mode], rates["nostore"], strict=True))
            p50, p99 = median(halves[mode]), median(tails[mode])
            verdict = ""
            if mode == "store":
                verdict = goal("ratio", ratio, ">=", 0.6, "")
            if mode in ("store", "service") and clients == 64:
                verdict += goal("p99", p99, "<", 100, " ms")
            print(f"    {mode:<42}{median(rates[mode]):>9.0f}{ratio:>12.2f}{p50:>10.1f}{p99:>9.1f}{verdict}")


def _load(mode: str, clients: int, seconds: float) -> list[float]:
    with running(["-m", "bench.server", "--mode", mode]) as server:
        port = (server.stdout.readline() if server.stdout else "").strip()
        if not port:
            raise SystemExit(f"bench.server --mode {mode} did not start.")
        command = ["-m", "bench.load", "--port", port, "--clients", str(clients), "--seconds", str(seconds)]
        with running(command) as load:
            out, _ = load.communicate(timeout=seconds + 30)
    found = json.loads(out)
    if found["refused"] or not found["latencies"]:
        raise SystemExit(f"{mode}: {found['refused']} posts were not answered with 200, {len(found['latencies'])} were.")
    latencies: list[float] = found["latencies"]
    return latencies


def _fsyncs(size: int, *, seconds: float = 0.5) -> float:
    with tempfile.TemporaryFile() as file:
        content, count, started = os.urandom(size), 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            os.write(file.fileno(), content)
            os.fsync(file.fileno())
            count += 1
        return count / (time.perf_counter() - started)


def reports(runs: int, *, alerts: int) -> None:
    """How soon there is a report."""
    section(f"Post to report, {alerts} alerts one after the other")
    refused = [_preliminary(alerts) for _ in range(runs)]
    line("Ollama refused, preliminary visible, p50", median(quantile(run, 0.5) for run in refused) * 1000, " ms")
    p95 = median(quantile(run, 0.95) for run in refused)
    line("Ollama refused, preliminary visible, p95", p95 * 1000, " ms", goal("p95", p95 * 1000, "<", 2000, " ms"))
    line("  the very first alert, posted at once after /ready", median(run[0] for run in refused) * 1000, " ms")
    instant = [_complete(alerts) for _ in range(runs)]
    whole = median(median(total for total, _ in run) for run in instant) * 1000
    model = median(median(analyze for _, analyze in run) for run in instant) * 1000
    line("instant model, post to complete, median", whole, " ms", goal("whole", whole, "<", 300, " ms, model included"))
    line("  of it calling the model (analyze)", model, " ms")


def _preliminary(alerts: int) -> list[float]:
    taken = []
    with serving() as (connection, _, _):
        for number in range(1, alerts + 1):
            started = time.perf_counter()
            _must(ask(connection, "POST", "/webhook/alert", body(number, alerts=1), HEADERS))
            path, stage = f"/investigations/alert-{fingerprint(number, 0)}", ""
            while stage not in ("preliminary", "complete"):
                if time.perf_counter() - started > 30:
                    raise SystemExit("No report within 30 s.")
                time.sleep(0.002)
                status, answer = ask(connection, "GET", path, None, {"Accept": "application/json"})
                stage = json.loads(answer)["stage"] if status == 200 else ""
            taken.append(time.perf_counter() - started)
    return taken


def _complete(alerts: int) -> list[tuple[float, float]]:
    port, taken = free_port(), []
    fake = [str(REPOSITORY / "tests/fakes/ollama.py"), "--port", str(port)]
    with running(fake) as ollama:
        if ollama.stdout is None or not ollama.stdout.readline():
            raise SystemExit("The fake Ollama did not start.")
        with serving(OLLAMA_URL=f"http://127.0.0.1:{port}") as (connection, _, _):
            for number in range(alerts + 1):
                content, started = body(number, alerts=1), time.perf_counter()
                answer = _must(ask(connection, "POST", "/webhook/alert?wait=30", content, {"User-Agent": "bench"}))
                seconds = time.perf_counter() - started
                (result,) = json.loads(answer)["results"]
                written = result["analysis_json"]
                if result["stage"] != "complete" or written["author"] == "rules":
                    raise SystemExit(f"The model did not write the report: {result['stage']}, {written['author']}, {written['author_note']}")
                if number:  # the first one warms up
                    taken.append((seconds, written["timings"]["analyze"]))
    return taken


def _must(answer: tuple[int, bytes]) -> bytes:
    if answer[0] != 200:
        raise SystemExit(f"HTTP {answer[0]}: {answer[1][:200].decode(errors='replace')}")
    return answer[1]


def mining(runs: int, *, lines: int) -> None:
    """How many log lines a second become patterns on one core, beside the least that anybody could do with them."""
    section(f"Log mining, {lines:,} lines of four formats, CPU time of one core")
    text, rates, ratios = log_lines(lines), [], []
    for _ in range(runs):
        least = _cpu_seconds(lambda: Counter(re.sub("[0-9]+", "<n>", line) for line in text))
        ours = _cpu_seconds(lambda: mine(text, subject=Subject(kind="Pod", name="bench"), now=datetime.now(UTC)))
        rates.append(lines / ours)
        ratios.append(least / ours)
    line("one regular expression a line, and a Counter", lines / least, " lines/s")
    line("mine", median(rates), " lines/s", goal("rate", median(rates), ">=", 50_000, " lines/s"))
    line("of the least", median(ratios), "", digits=2)


def _cpu_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def footprint(runs: int, *, idle_seconds: float) -> None:
    """How soon it is there, and what it takes."""
    section("Start and size")
    baseline = median(_command(["-c", "pass"]) for _ in range(runs + 2))
    line("python -c pass", baseline, " s", digits=2)
    shown = median(_command(["-m", "agent_sre", "--help"]) for _ in range(runs + 2))
    line("agent-sre --help", shown, " s", goal("help", shown, "<", 0.5, " s"), digits=2)
    ready, memory = [], []
    for _ in range(runs):
        with serving() as (_, process_id, seconds):
            ready.append(seconds)
            time.sleep(idle_seconds)
            memory.append(_resident_mb(process_id))
    line("serve, start to /ready 200", median(ready), " s", goal("ready", median(ready), "<", 2, " s"), digits=2)
    line(f"resident memory after {idle_seconds:g} s idle", median(memory), " MB", goal("resident", median(memory), "<", 150, " MB"))
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv is None:
        print("  installed size skipped: uv is not here.")
        return
    size = _installed_mb(uv)
    line("installed size of requirements.lock", size, " MB", goal("size", size, "<", 120, " MB"))


def _command(arguments: Sequence[str]) -> float:
    started = time.perf_counter()
    with running(arguments) as process:
        process.communicate(timeout=30)
        return time.perf_counter() - started


def _resident_mb(process_id: int) -> float:
    status = Path(f"/proc/{process_id}/status").read_text()
    return next(int(row.split()[1]) for row in status.splitlines() if row.startswith("VmRSS:")) / 1000 * 1.024


def _installed_mb(uv: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        command = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--require-hashes", "--target", folder]
        subprocess.run([*command, "-r", str(REPOSITORY / "requirements.lock")], check=True, timeout=300)
        return sum(path.lstat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 1e6


def single_steps(runs: int) -> None:
    """What one piece of work costs beside a baseline (bench/steps.py), in a process of its own."""
    section("Single steps, CPU time, best of five")
    paths = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")])  # the incidents are those of the tests
    with running(["-m", "bench.steps", "--runs", str(runs)], PYTHONPATH=paths) as process:
        for row in process.stdout or ():
            print(row, end="", flush=True)
        if process.wait():
            raise SystemExit("bench.steps failed.")


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def section(title: str) -> None:
    """A heading."""
    print(f"\n{title}")


def line(name: str, value: float, unit: str, verdict: str = "", *, digits: int = 0) -> None:
    """One figure."""
    print(f"  {name:<52}{value:>9.{digits}f}{unit}{verdict}", flush=True)


def goal(name: str, value: float, sign: str, limit: float, unit: str) -> str:
    """Whether a figure is where we want it."""
    met = value >= limit if sign == ">=" else value < limit
    return f"   {'ok' if met else 'MISSED'}: {name} {sign} {limit:g}{unit}"


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
