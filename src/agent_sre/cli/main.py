"""`agent-sre`: the commands and their help."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from agent_sre import __version__
from agent_sre.kit.errors import AgentSREError

application = typer.Typer(
    name="agent-sre",
    help="Takes alerts from Alertmanager, says what is wrong, what it measured, and what to do next.",
    epilog="Start with `agent-sre demo`. Settings are environment variables; `agent-sre check` shows and tests them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
incidents = typer.Typer(name="incidents", help="Read what was found.", no_args_is_help=True, rich_markup_mode=None)
quarantine = typer.Typer(name="quarantine", help="Look after webhook bodies that could not be read.", no_args_is_help=True, rich_markup_mode=None)
evaluation = typer.Typer(
    name="eval", help="Measure how often rules and models are right, on recorded incidents.", no_args_is_help=True, rich_markup_mode=None
)
application.add_typer(incidents)
application.add_typer(quarantine)
application.add_typer(evaluation)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def main() -> None:
    """The entry point: expected errors become one sentence and exit status 1, Ctrl-C becomes 130."""
    try:
        application()
    except AgentSREError as error:
        print(f"agent-sre: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `agent-sre incidents list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"agent-sre {__version__}")
        raise typer.Exit


@application.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")] = False,
) -> None:
    """Options of the command itself."""


@application.command()
def serve() -> None:
    """Run the service: take alerts, investigate, report. Ctrl-C stops it; nothing is lost by stopping it."""
    from agent_sre.cli.serve import run

    run()


@application.command()
def check(as_json: AsJson = False) -> None:
    """Test the settings and every connection, one line each. Exit status 1 where something that is configured does not work."""
    from agent_sre.cli.check import run

    raise typer.Exit(run(as_json=as_json))


@application.command()
def demo(
    seconds: Annotated[int, typer.Option(help="Give up after this many seconds.", min=10, max=600)] = 55,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the service running afterwards, until Ctrl-C.")] = False,
    replay: Annotated[bool, typer.Option("--replay", help="Replay a recorded webhook even where Prometheus and Alertmanager are installed.")] = False,
) -> None:
    """Show the whole way of one alert, with a real Prometheus and Alertmanager where they are installed. Needs no configuration."""
    from agent_sre.cli.demo import run

    raise typer.Exit(run(seconds=seconds, keep=keep, replay=replay))


@application.command()
def investigate(
    file: Annotated[
        Path | None,
        typer.Argument(help="A webhook body, or one alert, as JSON. `-` reads standard input. Not needed where the bundle has an alert.json."),
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="A support bundle to look into, a folder, tar or zip, instead of the systems that are configured.")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print every question that would be asked, and ask none.")] = False,
    as_json: AsJson = False,
) -> None:
    """Investigate a webhook body here and now, without a running service. Nothing is stored."""
    from agent_sre.cli.investigate import run

    raise typer.Exit(run(file, bundle=bundle, plan=plan, as_json=as_json))


@incidents.command("list")
def list_incidents(
    status: Annotated[str, typer.Option(help="open, triggered, acknowledged or resolved.")] = "",
    severity: Annotated[str, typer.Option(help="critical, warning, info, none or unknown.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    as_json: AsJson = False,
) -> None:
    """The newest incidents."""
    from agent_sre.cli.incidents import show_list

    show_list(status=status, severity=severity, limit=limit, as_json=as_json)


@incidents.command("show")
def show_incident(incident: Annotated[str, typer.Argument(help="INC-118, or just 118.")], as_json: AsJson = False) -> None:
    """One incident with its report."""
    from agent_sre.cli.incidents import show_one

    show_one(incident, as_json=as_json)


@incidents.command("export")
def export_incidents(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write here instead of to standard output.")] = None,
) -> None:
    """Every incident whole, one JSON object per line, oldest first."""
    from agent_sre.cli.incidents import export

    export(output)


@quarantine.command("list")
def list_quarantine(as_json: AsJson = False) -> None:
    """Bodies that could not be read, newest first."""
    from agent_sre.cli.quarantine import show_list

    show_list(as_json=as_json)


@quarantine.command("show")
def show_quarantine(number: Annotated[int, typer.Argument(help="The number that `list` shows.")]) -> None:
    """One body, exactly as it came."""
    from agent_sre.cli.quarantine import show_one

    show_one(number)


@quarantine.command("retry")
def retry_quarantine(number: Annotated[int, typer.Argument(help="The number that `list` shows.")]) -> None:
    """Put a body back into the inbox, after the cause was mended. A running service takes it up within seconds."""
    from agent_sre.cli.quarantine import retry

    retry(number)


Truth = Annotated[Path | None, typer.Option(help="The known causes, JSON by id. With it the accuracy is printed, beside that of baselines.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write one result per incident here, as a JSON array; `-` is standard output.")]
Refit = Annotated[bool, typer.Option("--refit", help="Learn the weights again from --truth, and show old, new and what is held out.")]
Write = Annotated[Path | None, typer.Option(help="Write what --refit learned here, as TOML. Without it nothing is written.")]


@evaluation.command("cases")
def eval_cases(
    folder: Annotated[Path, typer.Argument(help="A folder of cases, one folder each: alert.json, case.json, and what was recorded.")],
    truth: Truth = None,
    json_file: JsonFile = None,
    jobs: Annotated[int, typer.Option(help="Processes at the same time; 0 is one per processor.", min=0, max=64)] = 0,
    refit: Refit = False,
    write: Write = None,
) -> None:
    """Run the rules over recorded incidents, without a model: suspects in order, confidence, seconds. A broken case does not stop the others."""
    from agent_sre.cli.eval.cases import run

    raise typer.Exit(run(folder, truth=truth, json_file=json_file, jobs=jobs or os.cpu_count() or 1, refit=refit, write=write))


@evaluation.command("storms")
def eval_storms(
    files: Annotated[list[Path], typer.Argument(help="JSON Lines, packed with xz or not: `id`, `webhook` and, if known, `topology`.")],
    truth: Truth = None,
    json_file: JsonFile = None,
    history: Annotated[bool, typer.Option(help="Let storms that came before in the file tell what usually fires, or not (--no-history).")] = True,
    half: Annotated[int | None, typer.Option(help="Print the accuracy of one half of the storms only, 0 or 1.", min=0, max=1)] = None,
    refit: Refit = False,
    write: Write = None,
) -> None:
    """Rank the members of alert storms, most likely source first, from the alerts alone."""
    from agent_sre.cli.eval.storms import run

    raise typer.Exit(run(files, truth=truth, json_file=json_file, history=history, half=half, refit=refit, write=write))


@evaluation.command("scenarios")
def eval_scenarios(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]", help="Scenarios of your own: *.yaml, or support bundles whose case.json has `truth`. Default: the packaged ones."
        ),
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="A model to ask, instead of the configured one. May be given several times.")] = None,
    rules_only: Annotated[bool, typer.Option("--rules-only", help="Ask no model.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="Run this scenario only. May be given several times.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write one result per scenario and model here, as a JSON array; `-` is standard output.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="One line per scenario and model before the table.")] = False,
) -> None:
    """Compare the rules alone with models, on worlds whose cause is known: causes, grounding, invalid answers, seconds, tokens."""
    from agent_sre.cli.eval.scenarios import run

    raise typer.Exit(run(folder, models=model or (), rules_only=rules_only, only=only or (), json_file=json_file, verbose=verbose))
