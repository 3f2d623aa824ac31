"""The journal: every event on disk, and a run that died half way is read right."""

import json
from pathlib import Path

import pytest

from migdoctor import journal
from migdoctor.errors import Refused, UsageError
from migdoctor.model import EditFile, Sql, Stamp, Step
from migdoctor.plan import Plan

STEPS: tuple[Step, ...] = (
    Sql(run="CREATE TABLE a (x INT)", undo=("DROP TABLE a",), touches="table a"),
    Stamp(table=("main", "v"), before=("a", None), after=("b",)),
    EditFile(path=Path("/x/y.py"), before=None, after="text\r\n"),
)
PLAN = Plan(treatments=(), remedies=(), not_looked=(), durable={"schema": "before"})


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIGDOCTOR_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def test_a_finished_run_is_read_back(state: Path) -> None:
    with journal.Journal(PLAN, "sqlite:////x.db") as writer:
        for number, step in enumerate(STEPS):
            writer.before(number, step)
            writer.after(number)
        writer.committed()
        writer.end(None)
        assert len((state / f"{writer.run}.jsonl").read_text().splitlines()) == 9  # at once
    run = journal.read(writer.run)
    assert (run.done, run.doubtful, run.undone, run.finished) == (STEPS, (), False, True)
    assert run.durable == {"schema": "before"}
    assert (state / f"{writer.run}.jsonl").stat().st_mode & 0o077 == 0
    journal.mark_undone(run.run)
    assert journal.read(None).undone


def test_a_rolled_back_attempt_leaves_nothing_done() -> None:
    with journal.Journal(PLAN, "t") as writer:
        writer.before(0, STEPS[0])
        writer.after(0)
        writer.rolled_back()
        writer.before(0, STEPS[0])
        writer.after(0)
        writer.committed()
        writer.before(1, STEPS[1])
        writer.rolled_back()
    run = journal.read(writer.run)
    assert (run.done, run.doubtful) == (STEPS[:1], ())


def test_a_run_that_died_before_it_knew_of_its_commit_is_doubtful(state: Path) -> None:
    with journal.Journal(PLAN, "t") as writer:
        writer.before(0, STEPS[0])
        writer.after(0)
        writer.before(1, STEPS[1])
    path = state / f"{writer.run}.jsonl"
    path.write_text(path.read_text() + '{"event": "aft')  # torn by the crash
    run = journal.read(writer.run)
    assert (run.done, run.doubtful, run.finished) == ((), STEPS[:2], False)


def test_unknown_runs_and_no_runs_are_said() -> None:
    with pytest.raises(UsageError, match="no applied run"):
        journal.read(None)
    with pytest.raises(UsageError, match="no run nonsense"):
        journal.read("nonsense")


def test_without_a_journal_nothing_may_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MIGDOCTOR_STATE", str(tmp_path / "file" / "below"))
    with pytest.raises(Refused, match="journal cannot be written"):
        journal.Journal(PLAN, "t")


def test_every_line_is_one_json_event(state: Path) -> None:
    with journal.Journal(PLAN, "t") as writer:
        writer.before(2, STEPS[2])
    lines = (state / f"{writer.run}.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["begin", "before"]
