"""A real lock pile-up: named, drained by the remedy, and nobody else is touched."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from migdoctor import cli
from migdoctor.samples import Box, run_sql
from tests.observe.databases import in_background
from tests.running import migdoctor

Sample = Callable[[str, str], Box]
Capture = pytest.CaptureFixture[str]
ALIVE = """
SELECT pid, state FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY pid"""


def connect(box: Box, name: str) -> "psycopg.Connection[tuple[object, ...]]":
    plain = make_url(box.owner_url).set(drivername="postgresql").render_as_string(False)
    return psycopg.connect(plain, autocommit=True, application_name=name)


def until(box: Box, question: str, answer: object) -> None:
    for _ in range(200):
        if run_sql(box.owner_url, question)[0][0] == answer:
            return
        time.sleep(0.05)
    raise AssertionError(question)


WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'"""


@contextmanager
def pile_up(box: Box) -> Iterator[tuple[int, int, list[int]]]:
    """(root, victim, queue): an open reader, alembic behind it, eight readers behind that."""
    with ExitStack() as stack:
        root = stack.enter_context(closing(connect(box, "nightly-report")))
        root.execute("BEGIN")
        root.execute("SELECT * FROM users").fetchall()
        alembic = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "alembic", "upgrade", "head"],
                cwd=box.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
        )  # fmt: skip
        stack.callback(alembic.kill)
        until(box, WAITING, 1)
        victim = run_sql(box.owner_url, WAITING.replace("count(*)", "pid"))[0][0]
        readers = [stack.enter_context(closing(connect(box, f"web{n}"))) for n in range(8)]
        for reader in readers:
            read = lambda reader=reader: reader.execute("SELECT * FROM users").fetchall()  # noqa: E731  one line says it
            stack.enter_context(in_background(read))
        until(box, WAITING, 9)
        try:
            yield root.info.backend_pid, victim, [r.info.backend_pid for r in readers]
        finally:
            root.close()


def test_root_victim_and_queue_are_named_and_cancelling_drains_it(
    sample: Sample, capfd: Capture
) -> None:
    box = sample("md506_pending", "postgresql")
    with pile_up(box) as (root, victim, queue):
        ran = migdoctor(capfd, "diagnose", "--format", "json", *box.args)
        (finding,) = [f for f in ran.document["findings"] if f["code"] == "MD102"]
        assert finding["subject"] == f"pid {victim}"
        assert f"pid {root} (nightly-report, idle in transaction" in finding["message"]
        assert "8 sessions wait behind it" in finding["message"]
        behind = next(e["text"] for e in finding["evidence"] if e["title"] == "behind it")
        assert all(f"pid {pid}," in behind for pid in queue)

        assert migdoctor(capfd, "fix", "--apply", *box.args).code == 4  # not while it waits
        only = ("--quick", "--only", "MD102", "--format", "json")
        fixed = migdoctor(capfd, "fix", "--apply", *only, *box.args)
        assert fixed.code == 0
        until(box, WAITING, 0)
        alive = dict(run_sql(box.owner_url, ALIVE))
        assert alive[root] == "idle in transaction"
        assert all(alive[pid] == "idle" for pid in queue)
        assert victim not in alive or alive[victim] != "active"
        back = migdoctor(capfd, "undo", fixed.document["outcome"]["run"], *box.args)
        assert back.code == 4
        assert "only ended what others were running" in back.err + back.out

        located = migdoctor(capfd, "locate", "--format", "json", *box.args)
        assert located.code == 0
        assert located.document["position"]["located"] == ["bbb2"]
        assert located.document["position"]["recorded"] == ["bbb2"]


def test_the_root_is_ended_only_with_its_pid_and_consent(sample: Sample, capfd: Capture) -> None:
    box = sample("md506_pending", "postgresql")
    with pile_up(box) as (root, _victim, _queue):
        chosen = ("fix", "--apply", "--quick", "--only", f"MD102:terminate-{root}", *box.args)
        refused = migdoctor(capfd, *chosen)
        assert refused.code == 4
        assert "ENDS_SESSION" in refused.out
        wrong = migdoctor(
            capfd, "fix", "--quick", "--only", "MD102:terminate-1", "--allow", "ENDS_SESSION",
            *box.args,
        )  # fmt: skip
        assert wrong.code == 2
        done = migdoctor(capfd, *chosen, "--allow", "ENDS_SESSION")
        assert "Applied 1 step" in done.out
        until(box, WAITING, 0)
        assert root not in dict(run_sql(box.owner_url, ALIVE))
    until(box, "SELECT version_num FROM alembic_version", "ccc3")  # the way was free


def test_a_session_that_is_not_the_same_any_more_is_not_touched(
    sample: Sample, capfd: Capture, tmp_path: Path
) -> None:
    box = sample("md102_migration_blocked", "postgresql")
    plan = tmp_path / "plan.json"
    only = ("--quick", "--only", "MD102")
    assert migdoctor(capfd, "fix", *only, "--out", str(plan), *box.args).code == 1
    box.release()
    until(box, WAITING, 0)
    late = migdoctor(capfd, "fix", "--apply", *only, "--plan", str(plan), *box.args)
    assert late.code == 5
    assert "must still be the same session" in late.out


def test_a_stranded_lock_is_freed_by_name(sample: Sample, capfd: Capture) -> None:
    box = sample("md103_stranded_advisory_lock", "postgresql")
    ran = migdoctor(capfd, "diagnose", "--quick", "--format", "json", *box.args)
    pid = ran.document["findings"][0]["subject"].split()[1]
    only = ("--quick", "--only", f"MD103:terminate-{pid}", "--allow", "ENDS_SESSION")
    assert migdoctor(capfd, "fix", "--apply", *only, *box.args).code == 0
    until(box, WAITING, 0)
    assert int(pid) not in dict(run_sql(box.owner_url, ALIVE))


def test_watching_ends_with_the_last_verdict(
    sample: Sample, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = sample("md102_migration_blocked", "postgresql")
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 1:
            box.release()
            until(box, WAITING, 0)
        else:
            raise KeyboardInterrupt

    real = time.sleep
    monkeypatch.setattr(time, "sleep", lambda s: sleep(s) if s == 7 else real(s))
    code = cli.run(["diagnose", "--select", "MD1", "--watch", "7", *box.args])
    out = capfd.readouterr().out
    assert code == 0
    first, second = out.split("every 7 s; Ctrl-C ends it")[1:]
    assert "MD102 migration-blocked" in first
    assert "No sickness was found" in second
    assert migdoctor(capfd, "diagnose", "--watch", "7", "--format", "json", *box.args).code == 2
