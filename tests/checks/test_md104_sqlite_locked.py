"""MD104: a held write lock is named, with its holder."""

from migdoctor.checks.md104_sqlite_locked import CHECK
from migdoctor.facts import Activity, Session
from migdoctor.model import NeedsHuman, Severity
from tests.facts import healthy


def test_silent_when_nobody_writes():
    assert not list(CHECK.find(healthy(activity=Activity())))


def test_silent_when_somebody_only_reads():
    reader = Session(
        pid=7, application="app", user="", client="", state="reading", query="", seconds=None
    )
    assert not list(CHECK.find(healthy(activity=Activity(sessions=(reader,)))))


def test_names_the_holder_and_warns_of_the_journal():
    seen = healthy(activity=Activity(write_locked="pid 4711 holds RESERVED on /srv/app.db"))
    (finding,) = CHECK.find(seen)
    assert CHECK.severity is Severity.ERROR
    assert finding.evidence[0].text == "pid 4711 holds RESERVED on /srv/app.db"
    cure = CHECK.remedy(finding, seen)
    assert isinstance(cure, NeedsHuman)
    assert "-journal" in cure.why


def test_is_about_sqlite_only():
    assert CHECK.dialects == ("sqlite",)
