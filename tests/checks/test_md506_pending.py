"""MD506: what is between the recorded rows and the heads, where that can be said."""

from pathlib import Path

import pytest

from migdoctor.checks.md506_pending import CHECK
from migdoctor.facts import Quarantined, Schema, VersionTable
from migdoctor.graph import History, Revision
from migdoctor.model import NeedsHuman, Observation, Severity
from tests.facts import healthy


def at(*rows: str | None, **changes: object) -> Observation:
    table = VersionTable(
        schema="main",
        name="alembic_version",
        rows=rows,
        width=None,
        primary_key=True,
        configured=True,
    )
    return healthy(version_tables=(table,), **changes)


def chain(*ids: str) -> History:
    downs = [(), *((id,) for id in ids)]
    return History(revisions=tuple(map(revision, ids, downs)))


def revision(id: str, down: tuple[str, ...]) -> Revision:
    return Revision(
        id=id,
        down=down,
        depends_on=(),
        labels=(),
        path=Path(f"versions/{id}.py"),
        line=3,
        message=f"do {id}",
        sha="",
    )


def message(seen: Observation) -> str:
    (finding,) = CHECK.find(seen)
    return finding.message


def test_silent_at_head():
    assert not list(CHECK.find(healthy()))


@pytest.mark.parametrize("row", ["zzz9", "", None, "aaa", "AAA1", "aaa1 "])
def test_silent_when_a_row_is_not_known(row: str | None):
    assert not list(CHECK.find(at("aaa1", row)))


def test_silent_when_tables_are_there_but_no_version_table():
    assert not list(CHECK.find(healthy(version_tables=())))


def test_silent_when_tables_are_there_but_no_row():
    assert not list(CHECK.find(at()))


@pytest.mark.parametrize(
    "something",
    [
        {"schema": Schema(facts={}, unreadable={"public.users": "locked"})},
        {"quarantined": (Quarantined(schema="main", name="_migdoctor_q_1_users", rows=3),)},
    ],
)
def test_silent_when_a_database_without_rows_may_not_be_fresh(something: dict[str, object]):
    empty = healthy(version_tables=(), schema=Schema(facts={}))
    assert not list(CHECK.find(empty.having(**something)))


def test_silent_without_any_revision():
    seen = healthy(version_tables=(), schema=Schema(facts={}), history=History(revisions=()))
    assert not list(CHECK.find(seen))


def test_names_what_is_pending_in_upgrade_order():
    (finding,) = CHECK.find(at("aaa1"))
    assert CHECK.severity is Severity.INFO
    assert finding.message == "2 revisions are pending: bbb2 -> ccc3"
    assert finding.help.endswith("alembic upgrade head")
    assert [line.split()[0] for line in finding.evidence[0].text.splitlines()] == ["bbb2", "ccc3"]
    assert isinstance(CHECK.remedy(finding, healthy()), NeedsHuman)


def test_one_is_one():
    assert message(at("bbb2")) == "1 revision is pending: ccc3"


def test_everything_is_pending_in_a_fresh_database():
    fresh = healthy(version_tables=(), schema=Schema(facts={}))
    assert message(fresh) == "3 revisions are pending: aaa1 -> bbb2 -> ccc3"
    assert message(fresh.having(version_tables=at().version_tables)) == message(fresh)


def test_works_where_tmp_tables_have_no_meaning():
    from migdoctor.errors import NotApplicable

    fresh = healthy(version_tables=(), schema=Schema(facts={}), dialect="postgresql")
    fresh = fresh.without("tmp_tables", NotApplicable("tmp_tables", "SQLite only"))
    assert message(fresh).startswith("3 revisions")


def test_an_overlapping_row_changes_nothing():
    assert message(at("aaa1", "bbb2")) == "1 revision is pending: ccc3"


def test_a_long_list_is_cut():
    ids = tuple(f"r{n:03}" for n in range(100))
    (finding,) = CHECK.find(at("r000", history=chain(*ids)))
    assert finding.message == "99 revisions are pending: r001 -> r002 ... r099"
    lines = finding.evidence[0].text.splitlines()
    assert (len(lines), lines[-1]) == (41, "... and 59 more")


def test_several_heads_are_heads():
    fork = History(revisions=(revision("a", ()), revision("b", ("a",)), revision("c", ("a",))))
    (finding,) = CHECK.find(at("a", history=fork))
    assert finding.help.endswith("alembic upgrade heads")
