"""The command line: parse options, call the doctor, hand the result to a reporter.

At module level this imports click and what click has imported: `--help` and `--version` must stay
cheap, so everything else (pathlib too) is imported by the command that needs it.
"""

import functools
import gc
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import click

from migdoctor import __version__
from migdoctor.errors import DoctorError

if TYPE_CHECKING:
    from pathlib import Path

    from migdoctor.project.config import Request
    from migdoctor.result import Asked

Tell = Callable[[str, int, int], None]  # of what, how much is done, of how much
GLOBAL = [
    click.option("-c", "--config", metavar="FILE", help="alembic.ini or pyproject.toml."),
    click.option("-n", "--name", metavar="SECTION", help="Section of the ini file."),
    click.option("-x", "x", multiple=True, metavar="KEY=VALUE", help="Handed to env.py."),
    click.option("--url", metavar="URL", help="Look at this database, not at env.py's."),
    click.option("--script-location", metavar="DIR", help="Use this folder, no ini at all."),
    click.option("--python", metavar="PATH", help="The project's Python interpreter."),
    click.option("--via", metavar="COMMAND", help="The project's own manager that upgrades."),
    click.option("--shadow-url", metavar="URL", help="PostgreSQL server for replay and copies."),
    click.option("-v", "--verbose", is_flag=True, default=None, help="Show every statement sent."),
    click.option("-q", "--quiet", is_flag=True, default=None, help="Nothing on stderr but errors."),
    click.option("--no-color", is_flag=True, default=None, help="No colours (also NO_COLOR)."),
]
FORMAT = [
    click.option("--format", "form", type=click.Choice(["text", "json"]), default="text"),
    click.option("-o", "--output", metavar="FILE", help="Write the report there."),
]


def options(*groups: list[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """Decorator: add the options of all groups to a command, in their order."""

    def add(function: Any) -> Any:
        for option in reversed([o for group in groups for o in group]):
            function = option(function)
        return function

    return add


def main() -> None:
    """Entry point of the program `migdoctor`; the only place that ends the process."""
    gc.set_threshold(50_000, 20, 50)  # the facts of a large schema are many objects, and all stay
    sys.exit(run())


def run(args: list[str] | None = None) -> int:
    """Run one command line (None: that of the process) and return its exit status."""
    try:
        result = cli.main(args=args, prog_name="migdoctor", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("Interrupted; nothing more was done.", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return result if isinstance(result, int) else 0


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="migdoctor", message="%(prog)s %(version)s")
@options(GLOBAL)
@click.pass_context
def cli(context: click.Context, /, **given: Any) -> None:
    """The emergency doctor for databases that Alembic manages.

    Start with `migdoctor diagnose`; it changes nothing. Exit status: 0 healthy, 1 findings,
    2 wrong usage, 3 could not look, 4 refused, 5 rolled back, 6 stopped half way.
    """
    context.obj = given


def command(function: Callable[..., int]) -> Callable[..., int]:
    """Wrap a command: global options from both places, one handler for every known error."""

    @functools.wraps(function)
    def wrapped(*args: Any, **given: Any) -> int:
        before = click.get_current_context().obj
        for name, value in before.items():
            if name == "x":
                given[name] = (*value, *given.get(name, ()))
            elif not given.get(name):
                given[name] = value
        if given["verbose"] and not given["quiet"]:
            import logging

            logging.basicConfig(stream=sys.stderr, format="%(message)s")
            logging.getLogger("migdoctor").setLevel(logging.INFO)
        try:
            return function(*args, **given)
        except DoctorError as error:
            return _fail(error, given)

    return wrapped


@cli.command()
@options(GLOBAL, FORMAT)
@click.option(
    "--quick", is_flag=True, help="Run none of the project's code beyond env.py's address."
)
@click.option("--select", multiple=True, metavar="CODE", help="Only these rules (MD4, MD402).")
@click.option("--ignore", multiple=True, metavar="CODE", help="Without these rules.")
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "info"]),
    default="warning",
    show_default=True,
    help="Exit 1 from this severity on.",
)
@click.option(
    "--watch", type=click.FloatRange(min=0.1), metavar="SECONDS", help="Look again, until Ctrl-C."
)
@command
def diagnose(**given: Any) -> int:
    """Look at everything and report; change nothing."""
    from migdoctor import doctor
    from migdoctor.model import Severity

    with _progress(given) as tell:
        asked = _asked(
            given,
            quick=given["quick"] or given["watch"] is not None,
            select=_words(given["select"]),
            ignore=_words(given["ignore"]),
            fail_on=Severity(given["fail_on"]),
            on_progress=tell,
        )
        if given["watch"] is not None:
            return _watch(asked, given)
        report = doctor.diagnose(asked)
    _emit(report, given)
    return report.exit_code


def _watch(asked: "Asked", given: dict[str, Any]) -> int:
    """Show one quick diagnosis after another; the status of the last one when interrupted."""
    import time

    from migdoctor import doctor

    if given["form"] != "text" or given["output"]:
        raise click.UsageError("--watch shows text on the screen; leave out --format and -o.")
    code = None
    try:
        for report in doctor.watch(asked):
            if sys.stdout.isatty():
                click.echo("\033[2J\033[3J\033[H", nl=False, color=True)
            click.echo(f"{time.strftime('%H:%M:%S')}, every {given['watch']:g} s; Ctrl-C ends it")
            _emit(report, given)
            sys.stdout.flush()
            code = report.exit_code
            time.sleep(given["watch"])
    except KeyboardInterrupt:
        if code is None:
            raise
    return code or 0


@cli.command()
@options(GLOBAL, FORMAT)
@command
def locate(**given: Any) -> int:
    """Find out which revision, and which statement of it, the live schema is at."""
    from migdoctor import doctor
    from migdoctor.report import json, located

    with _progress(given) as tell:
        report = doctor.locate(_asked(given, on_progress=tell))
    as_json = given["form"] == "json"
    _write(json.render(report) if as_json else located.render(report, **_screen(given)), given)
    return report.exit_code


@cli.command()
@options(GLOBAL)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "mermaid", "dot", "svg", "json"]),
    default="text",
    help="A page for the terminal, a drawing, or the plain facts.",
)
@click.option("-o", "--output", metavar="FILE", help="Write the graph there.")
@click.option("--all", "unfold", is_flag=True, help="Show every revision; fold no long stretch.")
@click.option("--quick", is_flag=True, help="Show what is recorded; do not locate the schema.")
@command
def graph(**given: Any) -> int:
    """Draw the revision graph and where the database stands on it."""
    from migdoctor import doctor
    from migdoctor.report import graphs, json

    with _progress(given) as tell:
        report = doctor.graph(_asked(given, quick=given["quick"], on_progress=tell))
    if not report.seen.has("history"):
        return _fail(report.error or report.seen.missing["history"], given)
    if given["form"] == "json":
        _write(json.render_graph(report), given)
    else:
        encoding = "utf-8" if given["output"] else sys.stdout.encoding or "ascii"
        screen = {**_screen(given), "encoding": encoding}
        _write(graphs.render(report, given["form"], given["unfold"], **screen), given)
    return report.exit_code


@cli.command()
@options(GLOBAL, FORMAT)
@click.option("--apply", "apply_it", is_flag=True, help="Do it; without this, nothing changes.")
@click.option("--only", multiple=True, metavar="CODE[:KEY]", help="Only this; KEY picks a cure.")
@click.option("--allow", multiple=True, metavar="HAZARD", help="Accept this hazard by name.")
@click.option("--out", type=click.Path(dir_okay=False), help="Save the plan.")
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(dir_okay=False),
    help="Use exactly this saved plan, or refuse.",
)
@click.option("--no-rehearsal", is_flag=True, help="Do not try the plan on a copy first.")
@click.option(
    "--quick", is_flag=True, help="Run none of the project's code beyond env.py's address."
)
@command
def fix(**given: Any) -> int:
    """Plan, rehearse on a copy and show the difference; with --apply, do it."""
    from migdoctor import doctor

    with _progress(given) as tell:
        report = doctor.fix(
            _asked(
                given,
                quick=given["quick"],
                only=given["only"],
                allow=given["allow"],
                apply=given["apply_it"],
                rehearsal=not given["no_rehearsal"],
                out=_path(given["out"]),
                plan=_path(given["plan_file"]),
                on_progress=tell,
            )
        )
    _emit(report, given)
    return report.exit_code


@cli.command()
@click.argument("run", required=False)
@options(GLOBAL, FORMAT)
@command
def undo(run: str | None, **given: Any) -> int:
    """Take back an applied run (the latest by default) from its journal."""
    from migdoctor import doctor
    from migdoctor.report import json, text

    undone = doctor.undo(_asked(given), run)
    code = undone.refused.exit_code if undone.refused else 0
    if given["form"] == "json":
        _write(json.render_undo(undone, code), given)
    else:
        _write(text.render_undo(undone, **_screen(given)), given)
    return code


@cli.command()
@click.argument("code")
@options(GLOBAL)
@command
def explain(code: str, **given: Any) -> int:
    """Show the playbook page of a rule."""
    from migdoctor.report import pages

    _write(pages.explain(code, **_screen(given)), given)
    return 0


@cli.command()
@options(GLOBAL, FORMAT)
@command
def rules(**given: Any) -> int:
    """List all rules with their severity."""
    from migdoctor.report import pages

    as_json = given["form"] == "json"
    _write(pages.rules_json() if as_json else pages.rules(**_screen(given)), given)
    return 0


@cli.command()
@click.argument("sample", required=False)
@options(GLOBAL)
@click.option("--list", "list_them", is_flag=True, help="List the samples.")
@command
def demo(sample: str | None, list_them: bool, **_given: Any) -> int:
    """Build a broken sample database in a temporary folder; diagnose and fix it there."""
    from migdoctor import demo as show

    if list_them:
        show.list_samples()
        return 0
    return show.walk(sample)


# --- plumbing -----------------------------------------------------------------------------------


def _asked(given: dict[str, Any], **more: Any) -> "Asked":
    from migdoctor.result import Asked

    return Asked(request=_request(given), **more)


def _request(given: dict[str, Any]) -> "Request":
    from pathlib import Path

    from migdoctor.project.config import Request

    return Request(
        config=_path(given["config"] or os.environ.get("ALEMBIC_CONFIG")),
        name=given["name"] or "alembic",
        x=tuple(given["x"]),
        url=given["url"],
        script_location=given["script_location"],
        python=_path(given["python"]),
        via=given["via"],
        shadow_url=given["shadow_url"],
        cwd=Path.cwd(),
    )


def _path(given: str | None) -> "Path | None":
    from pathlib import Path

    return Path(given) if given else None


def _progress(given: dict[str, Any]) -> AbstractContextManager[Tell | None]:
    """What is told about long work: a bar where a person sees it, else nobody."""
    unseen = not sys.stderr.isatty() or os.environ.get("TERM") == "dumb"
    if unseen or given["quiet"] or given["verbose"]:
        return nullcontext()
    from migdoctor.report import progress

    return progress.shown(color=not (given["no_color"] or os.environ.get("NO_COLOR")))


def _words(given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word.upper() for words in given for word in words.split(",") if word)


def _screen(given: dict[str, Any]) -> dict[str, Any]:
    """Width and colour of the output: a terminal's, or plain 80 columns."""
    terminal = sys.stdout.isatty() and not given.get("output")
    forced = bool(os.environ.get("FORCE_COLOR"))
    color = (terminal or forced) and not (given["no_color"] or os.environ.get("NO_COLOR"))
    width = int(os.environ.get("COLUMNS") or 0) or (
        os.get_terminal_size().columns if terminal else 80
    )
    return {"width": max(40, width), "color": color}


def _emit(report: Any, given: dict[str, Any]) -> None:
    if given["form"] == "json":
        from migdoctor.report import json

        _write(json.render(report), given)
    else:
        from migdoctor.report import text

        _write(text.render(report, **_screen(given)), given)


def _write(text: str, given: dict[str, Any]) -> None:
    text = text.encode("utf-8", "backslashreplace").decode()  # what a file holds may be no text
    if path := _path(given.get("output")):
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise click.ClickException(f"{path} cannot be written: {error.strerror}") from error
    else:
        for_people = given.get("form", "text") == "text"  # the others are UTF-8 everywhere
        click.echo(text if for_people else text.encode(), nl=False, color=True)


def _fail(error: DoctorError, given: dict[str, Any]) -> int:
    from migdoctor.report import json, text

    name = click.get_current_context().info_name or ""
    if given.get("form") == "json":
        _write(json.render_error(name, error), given)
    else:
        click.echo(text.render_error(error, **_screen(given)), nl=False, err=True)
    return error.exit_code
