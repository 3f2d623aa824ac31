"""MD103: an idle holder that somebody waits for; leaders, runners and short pauses are silent."""

import pytest

from migdoctor.checks.md103_stranded_advisory_lock import CHECK
from migdoctor.facts import Activity, Session
from migdoctor.model import Hazard, Observation
from tests.facts import healthy

START = "2026-11-21 03:10:00.000001+00"


def session(pid: int, **more: object) -> Session:
    known = {
        "application": f"app{pid}",
        "user": "app",
        "client": "10.0.0.7",
        "state": "idle",
        "query": "SELECT pg_advisory_lock(42)",
        "seconds": 600.0,
        "started": START,
    }
    return Session(pid=pid, **(known | more))


HOLDER = session(1, advisory=("42",))
WAITER = session(2, state="active", blocked_by=(1,), waits="advisory lock 42", waited=9.0)
TRIER = session(3, state="active", query="select pg_try_advisory_lock(42)")


def busy(*sessions: Session) -> Observation:
    return healthy(activity=Activity(sessions=sessions), dialect="postgresql")


@pytest.mark.parametrize(
    "sessions",
    [
        (HOLDER,),
        (HOLDER, session(2, state="active", query="SELECT 1")),
        (session(1, advisory=("42",), state="idle in transaction"), WAITER),
        (session(1, advisory=("42",), seconds=0.1), WAITER),
        (HOLDER, WAITER, session(4, application="app1", migrating="it runs ALTER")),
        (HOLDER, session(2, state="active", blocked_by=(9,), waits="advisory lock 7")),
    ],
    ids=["leader", "bystander", "at work", "between two statements", "runner", "another lock"],
)
def test_silent(sessions: tuple[Session, ...]) -> None:
    assert not list(CHECK.find(busy(*sessions)))


def test_somebody_waits_for_an_idle_holder() -> None:
    seen = busy(HOLDER, WAITER)
    (finding,) = CHECK.find(seen)
    assert (finding.subject, finding.certainty) == ("pid 1", "certain")
    assert "advisory lock 42 is stranded" in finding.message
    cure = CHECK.remedy(finding, seen)
    assert (cure.key, cure.default) == ("terminate-1", False)
    assert cure.hazards == (Hazard.ENDS_SESSION,)
    assert cure.steps[0].run.endswith(f"backend_start = '{START}' AND state = 'idle'")


def test_somebody_who_only_tries_makes_it_likely() -> None:
    (finding,) = CHECK.find(busy(HOLDER, TRIER))
    assert finding.certainty == "likely"
