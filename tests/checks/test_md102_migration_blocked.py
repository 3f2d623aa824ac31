"""MD102: root, victim and queue; a race, a reader's wait and a running migration are silent."""

import pytest

from migdoctor.checks.md102_migration_blocked import CHECK
from migdoctor.facts import Activity, Session
from migdoctor.model import Hazard, NeedsHuman, Observation
from tests.facts import healthy

START = "2026-11-21 03:10:00.000001+00"
LATER = "2026-11-21 03:10:02.500000+00"


def session(pid: int, migrating: str | None = None, **more: object) -> Session:
    known = {
        "application": f"app{pid}",
        "user": "app",
        "client": "10.0.0.7",
        "state": "active" if "blocked_by" in more else "idle in transaction",
        "query": "SELECT * FROM users",
        "seconds": 61.0,
        "started": START,
    }
    return Session(pid=pid, migrating=migrating, **(known | more))


def waiting(pid: int, *blockers: int, **more: object) -> Session:
    told = {"waits": "ACCESS EXCLUSIVE on public.users", "waited": 60.0 - pid}
    return session(pid, blocked_by=blockers, **(told | more))


def busy(*sessions: Session) -> Observation:
    return healthy(activity=Activity(sessions=sessions), dialect="postgresql")


@pytest.mark.parametrize(
    "sessions",
    [
        (),
        (session(1, "alembic"),),
        (session(1), waiting(2, 1)),
        (session(1, "alembic"), waiting(2, 1, migrating="alembic")),
        (session(1, "alembic"), waiting(2, 1), waiting(3, 2, migrating="alembic")),
    ],
    ids=["nobody", "running", "no migration waits", "a race", "a race through a reader"],
)
def test_silent(sessions: tuple[Session, ...]) -> None:
    assert not list(CHECK.find(busy(*sessions)))


def test_root_victim_and_queue() -> None:
    victim = waiting(2, 1, migrating="it runs ALTER")
    seen = busy(session(1), victim, waiting(3, 2), waiting(4, 2), waiting(5, 3))
    (finding,) = CHECK.find(seen)
    assert finding.subject == "pid 2"
    assert "pid 2 waits since 58 s for ACCESS EXCLUSIVE on public.users" in finding.message
    assert "kept by pid 1 (app1, idle in transaction since 61 s)" in finding.message
    assert "3 sessions wait behind it" in finding.message
    titles = [e.title for e in finding.evidence]
    assert titles == ["the migration: pid 2", "root: pid 1", "behind it", "to ask again"]
    assert [line.split(",")[0] for line in finding.evidence[2].text.splitlines()] == [
        "pid 3", "pid 4", "pid 5",
    ]  # fmt: skip


def test_the_waiting_change_is_cancelled_and_the_root_only_by_choice() -> None:
    seen = busy(session(1), waiting(2, 1, migrating="it runs ALTER"))
    (finding,) = CHECK.find(seen)
    cancel, terminate = CHECK.remedy(finding, seen)
    assert (cancel.key, cancel.default, cancel.hazards) == ("cancel", True, ())
    (step,) = cancel.steps
    assert step.run == (
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid = 2 "
        f"AND backend_start = '{START}' AND wait_event_type = 'Lock'"
    )
    assert step.rows == 1
    assert (terminate.key, terminate.default) == ("terminate-1", False)
    assert terminate.hazards == (Hazard.ENDS_SESSION,)


def test_whom_we_may_not_touch_is_left_to_somebody_who_may() -> None:
    seen = busy(session(1), waiting(2, 1, migrating="it runs ALTER", may_signal=False))
    (finding,) = CHECK.find(seen)
    human, _ = CHECK.remedy(finding, seen)
    assert isinstance(human, NeedsHuman)
    assert "SELECT pg_cancel_backend(2)" in human.why


def test_a_second_connection_of_the_same_process_is_named() -> None:
    other = session(1, application="", started=LATER)
    seen = busy(other, waiting(2, 1, migrating="it runs ALTER", application=""))
    (finding,) = CHECK.find(seen)
    assert finding.certainty == "likely"
    assert "a migration blocks itself" in finding.message
    assert "op.get_bind()" in finding.help


@pytest.mark.parametrize(
    "more",
    [
        {"application": "web"},
        {"client": "10.0.0.8"},
        {"started": "2026-11-21 02:10:00.000001+00"},
        {"started": ""},
        {"state": "active"},
    ],
    ids=str,
)
def test_another_process_is_no_self_deadlock(more: dict[str, object]) -> None:
    other = session(1, **({"application": "", "started": LATER} | more))
    seen = busy(other, waiting(2, 1, migrating="it runs ALTER", application=""))
    (finding,) = CHECK.find(seen)
    assert "blocks itself" not in finding.message


def test_two_migrations_of_one_process_hang_too() -> None:
    other = session(1, "it wrote the version table", application="", started=LATER)
    seen = busy(other, waiting(2, 1, migrating="it runs ALTER", application=""))
    (finding,) = CHECK.find(seen)
    assert "a migration blocks itself" in finding.message


def test_a_root_that_is_no_session() -> None:
    seen = busy(waiting(2, 0, migrating="it runs ALTER"))
    (finding,) = CHECK.find(seen)
    assert "kept by a prepared transaction" in finding.message
    assert "pg_prepared_xacts" in finding.evidence[1].text
