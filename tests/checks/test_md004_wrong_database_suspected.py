"""MD004: only an empty target beside another configured address is suspicious."""

import pytest

from migdoctor.checks.md004_wrong_database_suspected import CHECK
from migdoctor.errors import NotApplicable, NotObserved
from migdoctor.facts import Quarantined, Schema, TmpTable, VersionTable
from migdoctor.model import NeedsHuman, Observation, Severity
from tests.facts import healthy

OTHER = (("the ini file", "postgresql+psycopg://app:***@db/app"),)
NOTHING = Schema(facts={})
TMP = TmpTable(
    name="_alembic_tmp_users",
    original="users",
    rows=3,
    original_rows=None,
    ddl="CREATE TABLE _alembic_tmp_users (id INTEGER)",
    columns=("id",),
)


def fresh(**changes: object) -> Observation:
    return healthy(schema=NOTHING, version_tables=(), **changes)


def version_table(*rows: str, configured: bool = True) -> VersionTable:
    return VersionTable(
        schema="main",
        name="alembic_version",
        rows=rows,
        width=None,
        primary_key=True,
        configured=configured,
    )


def test_silent_on_a_healthy_database():
    assert not list(CHECK.find(healthy()))


def test_silent_on_a_fresh_database_without_another_address():
    assert not list(CHECK.find(fresh(address_differences=())))


def test_silent_when_the_target_has_tables_however_many_addresses_differ():
    assert not list(CHECK.find(healthy(address_differences=OTHER)))


@pytest.mark.parametrize(
    "something",
    [
        {"version_tables": (version_table("aaa1"),)},
        {"version_tables": (version_table("zzz9", configured=False),)},
        {"tmp_tables": (TMP,)},
        {"quarantined": (Quarantined(schema="main", name="_migdoctor_q_1_users", rows=3),)},
        {"schema": Schema(facts={}, unreadable={"public.users": "locked by pid 7"})},
    ],
    ids=["row", "foreign-row", "tmp-table", "quarantined", "unreadable"],
)
def test_silent_when_something_is_there(something: dict[str, object]):
    assert not list(CHECK.find(fresh(address_differences=OTHER).having(**something)))


def test_speaks_on_an_empty_target_beside_another_address():
    seen = fresh(address_differences=OTHER)
    (finding,) = CHECK.find(seen)
    assert CHECK.severity is Severity.ERROR
    assert finding.certainty == "likely"
    assert "the ini file: postgresql+psycopg://app:***@db/app" in finding.evidence[0].text
    cure = CHECK.remedy(finding, seen)
    assert isinstance(cure, NeedsHuman)


def test_speaks_when_only_an_empty_version_table_is_there():
    seen = fresh(address_differences=OTHER).having(version_tables=(version_table(),))
    assert len(list(CHECK.find(seen))) == 1


def test_works_where_tmp_tables_have_no_meaning():
    seen = fresh(address_differences=OTHER, dialect="postgresql")
    seen = seen.without("tmp_tables", NotApplicable("tmp_tables", "SQLite only"))
    assert len(list(CHECK.find(seen))) == 1


def test_blind_when_the_schema_could_not_be_read():
    seen = fresh(address_differences=OTHER).without("schema", NotObserved("schema", "locked"))
    with pytest.raises(NotObserved):
        list(CHECK.find(seen))
