"""The step runner: the function that writes. On real SQLite and real PostgreSQL."""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from migdoctor.apply import Unrecorded, run_steps
from migdoctor.connect import Address, address_of, open_writing
from migdoctor.model import EditFile, Guard, Hazard, MoveFile, Sql, Stamp, Step
from migdoctor.plan import Outcome
from migdoctor.shadow import server


class Heard(Unrecorded):
    """A recorder that remembers what it was told."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def before(self, number: int, step: Step) -> None:
        self.events.append(f"before {number}")

    def after(self, number: int) -> None:
        self.events.append(f"after {number}")

    def committed(self) -> None:
        self.events.append("committed")

    def rolled_back(self) -> None:
        self.events.append("rolled back")


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Address]:
    """An empty database of each engine."""
    if request.param == "sqlite":
        path = tmp_path / "app.db"
        sqlite3.connect(path).close()
        path.touch()
        yield address_of(f"sqlite:///{path}")
        return
    running = server.running()
    url = running.create("steps")
    address = address_of(url)
    yield address
    running.drop(url.rsplit("/", 1)[1].split("?")[0])


def run(address: Address, *steps: Step, recorder: Unrecorded | None = None) -> Outcome:
    with open_writing(address) as session:
        return run_steps(session, steps, recorder or Unrecorded(), None)


def ask(address: Address, sql: str) -> list[tuple[object, ...]]:
    with open_writing(address) as session:
        return session.query(sql)


def sql(text: str, **more: object) -> Sql:
    return Sql(run=text, undo=(), touches=text, **more)  # type: ignore[arg-type]  # test shorthand


def tables(address: Address) -> set[object]:
    catalog = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
        "postgresql": "SELECT relname FROM pg_class WHERE relkind = 'r' AND oid > 16383",
    }
    return {row[0] for row in ask(address, catalog[address.dialect])}


def versions(address: Address, *rows: str | None, extra: bool = False) -> None:
    run(address, sql(f"CREATE TABLE v (version_num VARCHAR(32){', note TEXT' if extra else ''})"))
    for row in rows:
        value = "NULL" if row is None else f"'{row}'"
        run(address, sql(f"INSERT INTO v (version_num) VALUES ({value})", rows=1))


def stamp(before: tuple[str | None, ...], after: tuple[str | None, ...]) -> Stamp:
    return Stamp(table=("", "v"), before=before, after=after)


def stored(address: Address) -> list[object]:
    return sorted((row[0] for row in ask(address, "SELECT version_num FROM v")), key=repr)


def test_all_steps_stay_and_are_told_in_order(place: Address) -> None:
    heard = Heard()
    outcome = run(
        place, sql("CREATE TABLE a (x INT)"), sql("CREATE TABLE b (x INT)"), recorder=heard
    )
    assert outcome.exit_code == 0
    assert len(outcome.done) == 2
    assert tables(place) == {"a", "b"}
    assert heard.events == ["before 0", "after 0", "before 1", "after 1", "committed"]


def test_a_failing_step_takes_everything_back(place: Address) -> None:
    heard = Heard()
    steps = (sql("CREATE TABLE a (x INT)"), sql("CREATE TABLE a (x INT)"), sql("SELECT 1"))
    outcome = run(place, *steps, recorder=heard)
    assert outcome.exit_code == 5
    assert outcome.done == ()
    assert outcome.failed == steps[1]
    assert outcome.not_reached == (steps[2],)
    assert "already exists" in (outcome.error or "")
    assert tables(place) == set()
    assert heard.events[-1] == "rolled back"


def test_a_statement_that_changes_another_number_of_rows_is_taken_back(place: Address) -> None:
    versions(place, "a", "b")
    outcome = run(place, sql("DELETE FROM v", rows=1))
    assert outcome.exit_code == 5
    assert "changed 2 rows, not 1" in (outcome.error or "")
    assert stored(place) == ["a", "b"]


def test_a_guard_that_answers_otherwise_stops_the_statement(place: Address) -> None:
    versions(place, "a")
    guard = Guard(query="SELECT count(*) FROM v", answer=0, because="the table is not empty")
    outcome = run(place, sql("DROP TABLE v", guard=guard))
    assert outcome.exit_code == 5
    assert "the table is not empty" in (outcome.error or "")
    assert stored(place) == ["a"]


def test_a_guard_that_answers_as_planned_lets_it_pass(place: Address) -> None:
    versions(place)
    guard = Guard(query="SELECT count(*) FROM v", answer=0, because="the table is not empty")
    assert run(place, sql("DROP TABLE v", guard=guard)).exit_code == 0
    assert tables(place) == set()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (("a",), ("b",)),
        (("a", "b"), ("b",)),
        (("a", "a"), ("a",)),
        (("a", "a", "a", "b"), ("b", "a")),
        ((None, "a"), ("a",)),
        (("AAA1 ",), ("aaa1",)),
        ((), ("a",)),
        (("a",), ()),
        (("it's", "b"), ("its", "b")),
    ],
)
def test_a_stamp_changes_exactly_its_rows_and_back(
    place: Address, before: tuple[str | None, ...], after: tuple[str | None, ...]
) -> None:
    versions(place)
    for row in before:
        assert run(place, stamp((), (row,))).exit_code == 0
    assert run(place, stamp(before, after)).exit_code == 0
    assert stored(place) == sorted(after, key=repr)
    assert run(place, stamp(after, before)).exit_code == 0
    assert stored(place) == sorted(before, key=repr)


def test_a_stamp_refuses_rows_that_are_not_as_planned(place: Address) -> None:
    versions(place, "c", "b")
    outcome = run(place, stamp(("a", "b"), ("b",)))
    assert outcome.exit_code == 5
    assert stored(place) == ["b", "c"]


def test_a_stamp_keeps_further_columns_of_the_row_that_stays(place: Address) -> None:
    versions(place, "a", "a", extra=True)
    run(place, sql("UPDATE v SET note = 'kept'"))
    assert run(place, stamp(("a", "a"), ("a",))).exit_code == 0
    assert ask(place, "SELECT version_num, note FROM v") == [("a", "kept")]


def test_files_are_restored_when_a_later_statement_fails(place: Address, tmp_path: Path) -> None:
    edited, made, moved = tmp_path / "edited.py", tmp_path / "made.py", tmp_path / "x.pyc"
    edited.write_bytes(b"one\r\ncaf\xe9\n")
    moved.write_bytes(b"\x00\xff")
    before = edited.read_bytes().decode("utf-8", "surrogateescape")
    package = tmp_path / "x" / "__init__.py"  # in a folder that goes again
    steps = (
        EditFile(path=edited, before=before, after="two\n"),
        EditFile(path=made, before=None, after="new\n"),
        MoveFile(path=moved, to=package, sha256=hashlib.sha256(b"\x00\xff").hexdigest()),
        sql("SELECT * FROM nothing_of_this_name"),
    )
    assert run(place, *steps).exit_code == 5
    assert edited.read_bytes() == b"one\r\ncaf\xe9\n"
    assert not made.exists()
    assert moved.read_bytes() == b"\x00\xff"
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix != ".db") == ["edited.py", "x.pyc"]


def test_a_file_that_is_not_as_planned_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("mine\n")
    for before in ("yours\n", None):
        outcome = run_steps(
            None, (EditFile(path=path, before=before, after="x"),), Unrecorded(), None
        )
        assert outcome.exit_code == 5
        assert path.read_text() == "mine\n"


def test_a_new_file_keeps_to_the_umask_and_an_edited_one_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("a")
    path.chmod(0o640)
    assert run_steps(None, (EditFile(path=path, before="a", after="b"),), Unrecorded(), None).done
    assert path.stat().st_mode & 0o777 == 0o640


def test_file_steps_go_to_the_place_they_are_mapped_to(tmp_path: Path) -> None:
    real, copy = tmp_path / "real.py", tmp_path / "copy.py"
    step = EditFile(path=real, before=None, after="x")
    run_steps(None, (step,), Unrecorded(), None, place=lambda _path: copy)
    assert copy.exists()
    assert not real.exists()


def test_what_is_committed_before_a_failure_is_said_to_be_done(place: Address) -> None:
    first = sql("CREATE TABLE a (x INT)")
    alone = Sql(
        run="CREATE TABLE b (x INT)",
        undo=("DROP TABLE b",),
        touches="b",
        in_transaction=False,
        hazards=(Hazard.NOT_TRANSACTIONAL,),
    )
    outcome = run(place, first, alone, sql("SELECT * FROM nothing_of_this_name"))
    assert outcome.exit_code == 6
    assert outcome.done == (first, alone)
    assert tables(place) == {"a", "b"}


def test_a_lock_that_is_not_granted_is_tried_three_times_and_taken_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("migdoctor.connect._WRITE_OPTIONS", {"lock_timeout": "50"})
    running = server.running()
    url = running.create("locks")
    address = address_of(url)
    run(address, sql("CREATE TABLE t (x INT)"))
    libpq = url.replace("postgresql+psycopg", "postgresql")
    heard = Heard()
    with closing(psycopg.connect(libpq)) as holder:
        holder.execute("LOCK TABLE t")
        outcome = run(address, sql("CREATE TABLE u (x INT)"), sql("DROP TABLE t"), recorder=heard)
    assert outcome.exit_code == 5
    assert heard.events.count("rolled back") == 3
    assert tables(address) == {"t"}
    running.drop(url.rsplit("/", 1)[1].split("?")[0])
