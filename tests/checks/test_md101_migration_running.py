"""MD101: a session that is taken for a migration is shown with all that is known about it."""

from migdoctor.checks.md101_migration_running import CHECK
from migdoctor.facts import Activity, Session
from migdoctor.model import Hazard, NeedsHuman, Observation, Severity
from tests.facts import healthy

START = "2026-11-21 03:10:00.000001+00"


def session(pid: int, migrating: str | None, **more: object) -> Session:
    known = {
        "application": "",
        "user": "app",
        "client": "10.0.0.7",
        "state": "idle in transaction",
        "query": "ALTER TABLE users ADD COLUMN nickname VARCHAR(40)",
        "seconds": 41.6,
    }
    return Session(pid=pid, migrating=migrating, **(known | more))


def busy(*sessions: Session, **changes: object) -> Observation:
    return healthy(activity=Activity(sessions=sessions), **changes)


def test_silent_when_nobody_is_there():
    assert not list(CHECK.find(busy()))


def test_silent_when_others_only_work():
    assert not list(CHECK.find(busy(session(7, None), session(8, None, blocked_by=(7,)))))


def test_shows_who_since_when_and_what():
    seen = busy(
        session(7, None),
        session(4711, "it changed alembic_version", holds=("users",)),
        dialect="postgresql",
    )
    (finding,) = CHECK.find(seen)
    assert CHECK.severity is Severity.WARNING
    evidence = finding.evidence[0]
    assert evidence.title == "pid 4711"
    assert evidence.text.splitlines() == [
        "taken for a migration: it changed alembic_version",
        "who: user app, client 10.0.0.7",
        "state: idle in transaction",
        "open for: 42 s",
        "holds: users",
        "last statement: ALTER TABLE users ADD COLUMN nickname VARCHAR(40)",
    ]
    (cure,) = CHECK.remedy(finding, seen)  # nobody may be ended whose start is not known
    assert isinstance(cure, NeedsHuman)


def test_one_may_be_cancelled_or_ended_by_its_pid_and_never_unasked():
    at_work = session(4711, "it builds an index", state="active", started=START)
    seen = busy(at_work, dialect="postgresql")
    (finding,) = CHECK.find(seen)
    _, cancel, terminate = CHECK.remedy(finding, seen)
    assert (cancel.key, cancel.default, cancel.hazards) == ("cancel-4711", False, ())
    assert (terminate.key, terminate.default) == ("terminate-4711", False)
    assert terminate.hazards == (Hazard.ENDS_SESSION,)
    assert f"pid = 4711 AND backend_start = '{START}'" in terminate.steps[0].run


def test_an_index_build_shows_how_far_it_is():
    progress = "CREATE INDEX CONCURRENTLY ix on users: building index, 3 of 9 blocks"
    seen = busy(session(7, "it builds an index", building=progress), dialect="postgresql")
    (finding,) = CHECK.find(seen)
    assert f"builds: {progress}" in finding.evidence[0].text
    assert "even when its client is gone" in finding.evidence[1].text


def test_silent_about_a_migration_that_hangs():
    root = session(7, None)
    assert not list(CHECK.find(busy(root, session(8, "alembic", blocked_by=(7,)))))


def test_unknown_things_are_left_out():
    bare = {"user": "", "client": "", "state": "", "query": "", "seconds": None}
    (finding,) = CHECK.find(busy(session(9, "its command line is alembic", **bare)))
    assert finding.evidence[0].text == "taken for a migration: its command line is alembic"


def test_two_racing_migrations_are_one_finding_with_both():
    seen = busy(session(1, "alembic"), session(2, "alembic", blocked_by=(1,)), dialect="postgresql")
    (finding,) = CHECK.find(seen)
    assert [e.title for e in finding.evidence] == ["pid 1", "pid 2", "to ask again"]
    assert "waits for pid 1" in finding.evidence[1].text


def test_a_long_statement_is_one_short_line():
    long = "UPDATE users\n  SET email = '" + "x" * 1000 + "'"
    (finding,) = CHECK.find(busy(session(1, "alembic", query=long), dialect="postgresql"))
    last = finding.evidence[0].text.splitlines()[-1]
    assert last.startswith("last statement: UPDATE users SET email = 'xxx")
    assert last.endswith("x...")
    assert len(last) < 330


def test_a_sqlite_process_has_a_command():
    (finding,) = CHECK.find(busy(session(1, "alembic", query="alembic upgrade head")))
    assert "command: alembic upgrade head" in finding.evidence[0].text
