"""The command line: exit statuses, streams, refusals, and what a person sees."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from migdoctor.samples import Box
from tests.running import migdoctor, picture

Sample = Callable[[str, str], Box]
Capture = pytest.CaptureFixture[str]
OVERLAP = "md402_overlapping_rows"
DRIFT = "md601_drift_from_history"


def libpq(box: Box) -> str:
    return make_url(box.owner_url).set(drivername="postgresql").render_as_string(False)


# --- options and streams ------------------------------------------------------------------------


def test_global_options_are_accepted_before_and_after_the_command(
    sample: Sample, capfd: Capture
) -> None:
    box = sample(OVERLAP, "sqlite")
    before = migdoctor(capfd, *box.args, "diagnose", "--format", "json")
    after = migdoctor(capfd, "diagnose", "--format", "json", *box.args)
    assert before.out == after.out
    assert before.err == after.err == ""


def test_select_ignore_and_fail_on(sample: Sample, capfd: Capture) -> None:
    box = sample(OVERLAP, "sqlite")
    for words, codes, status in (
        (["--select", "MD402"], ["MD402"], 1),
        (["--select", "MD5"], ["MD506"], 0),
        (["--select", "md4", "--fail-on", "info"], ["MD402"], 1),
        (["--ignore", "MD402"], ["MD506"], 0),
        (["--ignore", "MD402", "--fail-on", "info"], ["MD506"], 1),
    ):
        ran = migdoctor(capfd, "diagnose", "--format", "json", *words, *box.args)
        assert (ran.codes, ran.code) == (codes, status), words


@pytest.mark.parametrize(
    "words",
    [
        ["diagnose", "--select", "MD999"],
        ["fix", "--only", "MD999"],
        ["fix", "--only", "MD402:nothing"],
        ["fix", "--allow", "EVERYTHING"],
        ["fix", "--plan", "no-such-plan.json"],
        ["undo", "no-such-run"],
        ["explain", "MD999"],
        ["diagnose", "--format", "xml"],
        ["operate"],
    ],
)
def test_wrong_usage_is_two(words: list[str], sample: Sample, capfd: Capture) -> None:
    box = sample(OVERLAP, "sqlite")
    before = picture(box)
    args = box.args if words[0] != "operate" else ()
    ran = migdoctor(capfd, *words, *args)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err
    assert "Traceback" not in ran.err
    assert picture(box) == before


def test_quick_with_a_url_starts_no_process(
    sample: Sample, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = sample(OVERLAP, "sqlite")

    def refuse(*_args: object, **_named: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    ran = migdoctor(capfd, "diagnose", "--quick", "--url", box.url, "--format", "json", *box.args)
    assert ran.codes == ["MD402", "MD506"]


def test_the_report_goes_to_a_file(sample: Sample, capfd: Capture, tmp_path: Path) -> None:
    box = sample(OVERLAP, "sqlite")
    path = tmp_path / "report.json"
    ran = migdoctor(capfd, "diagnose", "--format", "json", "-o", str(path), *box.args)
    assert (ran.code, ran.out) == (1, "")
    assert json.loads(path.read_text())["exit_code"] == 1
    ran = migdoctor(capfd, "diagnose", "-o", str(tmp_path / "no" / "folder"), *box.args)
    assert ran.code != 0
    assert "cannot be written" in ran.err


# --- what a person sees -------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 120])
def test_verdict_evidence_and_next_command_in_that_order(
    width: int, sample: Sample, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = sample(OVERLAP, "sqlite")
    monkeypatch.setenv("COLUMNS", str(width))
    out = migdoctor(capfd, "diagnose").out
    lines = out.splitlines()
    assert lines[0] == "1 error found."
    assert lines[-1] == "Next: migdoctor fix"
    assert out.index("MD402") < out.index("| 'bbb2'") < out.index("Next:")
    prose = [x for x in lines if not re.match(r"\s*(\||database|revisions|Next|MD\d)", x)]
    assert max(map(len, prose)) <= width
    assert "\x1b" not in out
    assert box.url not in out or box.dialect == "sqlite"


def test_colours_only_when_wanted(
    sample: Sample, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = sample(OVERLAP, "sqlite")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in migdoctor(capfd, "diagnose", *box.args).out
    assert "\x1b[" not in migdoctor(capfd, "diagnose", "--no-color", *box.args).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in migdoctor(capfd, "diagnose", *box.args).out


def test_no_password_is_ever_shown(sample: Sample, capfd: Capture, tmp_path: Path) -> None:
    box = sample("healthy", "postgresql")
    url = make_url(box.owner_url).set(password="s3cr3t/@%word")
    text = url.render_as_string(hide_password=False)
    plan = tmp_path / "plan.json"
    for words in (
        ["diagnose", "--url", text],
        ["diagnose", "--format", "json", "--url", text],
        ["fix", "--out", str(plan), "--url", text],
        ["diagnose", "--url", text.replace("postgres@", "nobody@").replace("sample", "gone")],
        ["diagnose", "--url", "postgresql://u:s3cr3t%2F%40%25word@127.0.0.1:1/x"],
    ):
        ran = migdoctor(capfd, *words, *box.args)
        for told in (ran.out, ran.err, plan.read_text() if plan.exists() else ""):
            assert "s3cr3t" not in told, words


def test_rules_explain_and_demo(capfd: Capture) -> None:
    rules = migdoctor(capfd, "rules").out.splitlines()
    assert [line[:5] for line in rules] == sorted({line[:5] for line in rules})
    assert (
        migdoctor(capfd, "explain", "md402").out
        == migdoctor(capfd, "explain", "overlapping-rows").out
    )
    assert "# MD402 overlapping-rows" in migdoctor(capfd, "explain", "MD402").out
    assert OVERLAP in migdoctor(capfd, "demo", "--list").out
    ran = migdoctor(capfd, "demo", OVERLAP)
    assert ran.code == 0
    assert ran.out.index("$ migdoctor diagnose") < ran.out.index("DELETE FROM")


def test_the_program_itself_ends_with_the_status(sample: Sample) -> None:
    box = sample(OVERLAP, "sqlite")
    command = [sys.executable, "-m", "migdoctor", "diagnose", *box.args]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


# --- input that is broken -----------------------------------------------------------------------


def test_every_breakage_of_a_tree_is_listed_in_one_run(sample: Sample, capfd: Capture) -> None:
    box = sample("healthy", "sqlite")
    versions = box.folder / "versions"
    (versions / "syntax.py").write_text("revision = 'ddd4'\ndown_revision = 'ccc3'\ndef (:\n")
    (versions / "conflict.py").write_text("<<<<<<< HEAD\nrevision = 'e'\n=======\n>>>>>>> x\n")
    (versions / "junk.py").write_bytes(bytes(range(256)))
    (versions / "orphan.py").write_text("revision = 'fff6'\ndown_revision = 'gone'\n")
    (versions / "loop.py").write_text("revision = 'ggg7'\ndown_revision = 'ggg7'\n")
    (versions / "twin.py").write_text("revision = 'aaa1'\ndown_revision = None\n")
    ran = migdoctor(capfd, "diagnose", "--format", "json", *box.args)
    assert ran.code == 1
    found = {
        (f["code"], Path(f["location"]["path"]).name)
        for f in ran.document["findings"]
        if f["location"]
    }
    assert {("MD201", "syntax.py"), ("MD201", "conflict.py"), ("MD201", "junk.py")} <= found
    assert {"MD202", "MD203", "MD204"} <= set(ran.codes)


@pytest.mark.parametrize(
    ("ini", "code"),
    [
        (None, "MD001"),
        ("", "MD001"),
        ("[alembic]\n", "MD001"),
        ("[alembic\nscript_location", "MD001"),
        ("\x00\x01\x02", "MD001"),
        ("[alembic]\nscript_location = gone\n", "MD001"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_two(
    ini: str | None, code: str, tmp_path: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if ini is not None:
        (tmp_path / "alembic.ini").write_text(ini)
    before = sorted(tmp_path.iterdir())
    for command in ("diagnose", "fix"):
        ran = migdoctor(capfd, command, "--format", "json")
        assert ran.code == 2
        assert ran.document["error"]["code"] == code
        assert ran.codes == [code]
        assert ran.document["error"]["help"]
    assert sorted(tmp_path.iterdir()) == before


# --- refusals and failures ----------------------------------------------------------------------


def test_a_hazard_that_is_not_allowed_is_four(sample: Sample, capfd: Capture) -> None:
    box = sample(f"{DRIFT}__extra_column", "sqlite")
    before = picture(box)
    words = ["fix", "--apply", "--only", "MD601:restore", "--format", "json"]
    ran = migdoctor(capfd, *words)
    assert ran.code == 4
    assert "DELETES_DATA" in ran.document["error"]["message"]
    assert "--allow" in ran.document["error"]["help"]
    assert ran.document["plan"]["steps"]  # a refused plan is still a printed plan
    assert picture(box) == before
    part = migdoctor(capfd, *words, "--allow", "REWRITES_TABLE")
    assert part.code == 4
    assert picture(box) == before


def test_a_saved_plan_is_applied_exactly_or_refused(
    sample: Sample, capfd: Capture, tmp_path: Path
) -> None:
    box = sample(OVERLAP, "sqlite")
    plan = tmp_path / "plan.json"
    dry = migdoctor(capfd, "fix", "--out", str(plan), "--format", "json", *box.args)
    with closing(sqlite3.connect(box.folder / "app.db")) as database:
        database.execute("CREATE TABLE meanwhile (x INTEGER)")
    before = picture(box)
    stale = migdoctor(capfd, "fix", "--apply", "--plan", str(plan), "--format", "json", *box.args)
    assert stale.code == 4
    assert "schema" in stale.document["error"]["message"]
    assert picture(box) == before
    with closing(sqlite3.connect(box.folder / "app.db")) as database:
        database.execute("DROP TABLE meanwhile")
    done = migdoctor(capfd, "fix", "--apply", "--plan", str(plan), "--format", "json", *box.args)
    assert done.code == 0
    assert done.document["plan"]["id"] == dry.document["plan"]["id"]
    again = migdoctor(capfd, "fix", "--apply", "--plan", str(plan), "--format", "json", *box.args)
    assert again.code == 4


def test_a_plan_without_apply_changes_nothing(
    sample: Sample, capfd: Capture, tmp_path: Path
) -> None:
    box = sample(OVERLAP, "sqlite")
    plan = tmp_path / "plan.json"
    before = picture(box)
    assert migdoctor(capfd, "fix", "--out", str(plan), *box.args).code == 1
    assert migdoctor(capfd, "fix", "--plan", str(plan), *box.args).code == 1
    assert picture(box) == before


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_another_doctor_or_writer_is_waited_for_and_then_refused(
    dialect: str, sample: Sample, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = sample(OVERLAP, dialect)
    monkeypatch.setattr("migdoctor.apply.GUARD_WAIT", 0.3)
    monkeypatch.setattr("migdoctor.connect._BUSY_SECONDS", 0.3)
    if dialect == "postgresql":
        with closing(psycopg.connect(libpq(box), autocommit=True)) as other:
            other.execute("SELECT pg_advisory_lock(x'6D6967646F63'::bigint)")
            ran = migdoctor(capfd, "fix", "--apply", "--format", "json", *box.args)
    else:
        with closing(sqlite3.connect(box.folder / "app.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            ran = migdoctor(capfd, "fix", "--apply", "--format", "json", *box.args)
    assert ran.code == 4
    assert ran.document["outcome"] is None
    assert box.count("alembic_version") == 2


def test_a_step_that_fails_is_rolled_back_and_five(
    sample: Sample, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = sample("md409_version_table_without_primary_key", "postgresql")
    monkeypatch.setattr("migdoctor.connect._WRITE_OPTIONS", {"lock_timeout": "50"})
    before = picture(box)
    with closing(psycopg.connect(libpq(box))) as reader:
        reader.execute("SELECT * FROM alembic_version")  # idle in transaction, blocks ALTER
        ran = migdoctor(capfd, "fix", "--apply", "--format", "json", *box.args)
    assert ran.code == 5
    assert ran.document["outcome"]["done"] == []
    assert "lock timeout" in ran.document["outcome"]["error"]
    assert picture(box) == before
    assert migdoctor(capfd, "fix", "--apply", *box.args).code == 0


CRASH = """
import os, sys
from migdoctor import cli, connect
real = connect.Session.commit
def commit(self):
    if sys.argv[1] == "after":
        real(self)
    os._exit(9)
connect.Session.commit = commit
cli.run(["fix", "--apply", "--no-rehearsal", *sys.argv[2:]])
"""


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_doctor_that_dies_at_the_commit_can_be_taken_back(
    moment: str, dialect: str, sample: Sample, capfd: Capture
) -> None:
    box = sample(OVERLAP, dialect)
    before = picture(box)
    died = subprocess.run(
        [sys.executable, "-c", CRASH, moment, *box.args],
        capture_output=True,
        check=False,
        env=os.environ | box.env,
    )
    assert died.returncode == 9, died.stderr
    assert box.count("alembic_version") == (1 if moment == "after" else 2)
    ran = migdoctor(capfd, "undo", *box.args)
    assert ran.code == 0, ran.err
    assert picture(box) == before


def test_undo_refuses_what_has_changed_since_and_another_database(
    sample: Sample, capfd: Capture, tmp_path: Path
) -> None:
    box = sample(OVERLAP, "sqlite")
    assert migdoctor(capfd, "fix", "--apply", *box.args).code == 0
    other = tmp_path / "other.db"
    other.write_bytes((box.folder / "app.db").read_bytes())
    assert migdoctor(capfd, "undo", "--url", f"sqlite:///{other}", *box.args).code == 2
    status, output = box.alembic("upgrade head")
    assert status == 0, output
    with closing(sqlite3.connect(box.folder / "app.db")) as database:
        database.execute("INSERT INTO alembic_version VALUES ('aaa1')")
        database.commit()
    before = picture(box)
    refused = migdoctor(capfd, "undo", *box.args)
    assert refused.code == 4
    assert picture(box) == before


def test_a_run_is_taken_back_once(sample: Sample, capfd: Capture) -> None:
    box = sample(OVERLAP, "sqlite")
    migdoctor(capfd, "fix", "--apply", *box.args)
    assert migdoctor(capfd, "undo", *box.args).code == 0
    again = migdoctor(capfd, "undo", *box.args)
    assert again.code == 4
    assert "taken back before" in again.out
