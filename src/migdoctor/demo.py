"""`migdoctor demo`: builds a broken sample in a temporary folder and treats it, for real."""

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from migdoctor import samples
from migdoctor.samples import Box

DEFAULT = "md302_tmp_table_holds_data"


def list_samples() -> None:
    """Print the name, the engines and the title of every sample."""
    for name in samples.names():
        engines = ", ".join(samples.dialects(name))
        click.echo(f"{name}  ({engines})\n    {samples.recipe(name)['title']}")


def walk(name: str | None) -> int:
    """Diagnose, dry run, cure and second diagnosis of one sample, with their real output.

    Returns 0 when every command ended as the sample promises, 1 otherwise.
    """
    sample = name or DEFAULT
    dialect = samples.dialects(sample)[0]
    with tempfile.TemporaryDirectory(prefix="migdoctor-demo-") as folder:
        click.echo(f"{sample} on {dialect}: {samples.recipe(sample)['title']}\n")
        with samples.build(sample, dialect, Path(folder) / "project") as box:
            return _treat(box, Path(folder) / "state")


def _treat(box: Box, state: Path) -> int:
    expect = box.expect
    choice = [word for only in expect.only for word in ("--only", only)]
    consent = [word for hazard in expect.allow for word in ("--allow", hazard)]
    ended = [_run(box, state, "diagnose") == expect.exit]
    if expect.exit in (2, 3):  # there is no database to treat
        return 0 if all(ended) else 1
    _run(box, state, "fix", *choice)
    ended.append(_run(box, state, "fix", "--apply", *choice, *consent) == expect.fix_exit)
    ended.append(_run(box, state, "diagnose") == expect.fix_exit)
    if all(ended):
        click.echo("The demo ended as it should.")
        return 0
    click.echo("The demo did not end as it should.")
    return 1


def _run(box: Box, state: Path, *words: str) -> int:
    """Show one command and its real output; its exit status."""
    config = [word for word in box.args if word not in ("-c", str(box.folder / "alembic.ini"))]
    shown = shlex.join(["migdoctor", *words, *config])
    click.echo(click.style(f"$ {shown}", bold=True), color=None)
    sys.stdout.flush()
    status = subprocess.run(
        [sys.executable, "-m", "migdoctor", *words, *config],
        cwd=box.folder,
        env=os.environ | box.env | {"MIGDOCTOR_STATE": str(state)},
        check=False,
    ).returncode
    click.echo(f"(exit status {status})\n")
    return status
