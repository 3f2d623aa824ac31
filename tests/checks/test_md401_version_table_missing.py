"""MD401: tables without a record of where they are."""

from dataclasses import replace

import pytest

from migdoctor.checks.md401_version_table_missing import CHECK
from migdoctor.facts import Schema
from migdoctor.model import NeedsHuman, Remedy
from tests.checks.placed import STATEMENTS, create, fact, placed, timeline
from tests.checks.stored import EMPTY, after, cures, history, only, statements, stored
from tests.facts import IDENTITY, healthy, revision, version_table


def test_silent_on_a_well_database():
    assert not list(CHECK.find(healthy()))


@pytest.mark.parametrize("rows", [(), ("zzz9",), (None,)])
def test_silent_when_there_is_a_version_table_whatever_it_holds(rows: tuple[str | None, ...]):
    assert not list(CHECK.find(stored(*rows)))


def test_silent_on_a_fresh_database():
    assert not list(CHECK.find(stored(version_tables=(), schema=EMPTY)))


def test_silent_when_the_project_has_no_revision():
    assert not list(CHECK.find(stored(version_tables=(), history=history())))


def test_tables_without_a_version_table_are_left_to_a_human():
    seen = stored(version_tables=())
    (cure,) = cures(CHECK, seen)
    assert "holds 1 table and no record" in only(CHECK, seen).message
    assert isinstance(cure, NeedsHuman)


def test_a_table_that_may_not_be_read_is_a_table():
    seen = stored(version_tables=(), schema=Schema(facts={}, unreadable={"public.t": "locked"}))
    assert "public.t" in only(CHECK, seen).evidence[0].text


def test_a_version_table_elsewhere_is_named_with_its_rows():
    other = version_table("ccc3", schema="meta", configured=False)
    finding = only(CHECK, stored(version_tables=(other,)))
    assert "there is one elsewhere: meta.alembic_version" in finding.message
    assert "meta.alembic_version: 'ccc3'" in finding.evidence[1].text
    assert "version_table_schema" in finding.help


def test_one_elsewhere_that_may_not_be_read_is_not_none():
    other = replace(version_table(schema="meta", configured=False), unread="may not be read")
    (cure,) = cures(CHECK, placed(at="bbb2", version_tables=(other,)))
    assert isinstance(cure, NeedsHuman)
    seen = only(CHECK, stored(version_tables=(other,))).evidence[1]
    assert seen.text == "meta.alembic_version: may not be read"


# --- with a position


def test_the_table_is_made_as_alembic_does_and_gets_the_located_row():
    (cure,) = cures(CHECK, placed(at="bbb2", version_tables=()))
    assert isinstance(cure, Remedy)
    assert cure.default
    assert statements(cure) == [
        'CREATE TABLE "alembic_version" (version_num VARCHAR(32) NOT NULL, '
        'CONSTRAINT "alembic_version_pkc" PRIMARY KEY (version_num))',
        "INSERT INTO \"alembic_version\" (version_num) VALUES ('bbb2')",
    ]


def test_a_configured_name_is_kept():
    seen = placed(at="bbb2", version_tables=(), configured_table=(None, "app_version"))
    (cure,) = cures(CHECK, seen)
    assert isinstance(cure, Remedy)
    assert statements(cure)[0].startswith('CREATE TABLE "app_version"')


def test_the_column_is_wide_enough_for_the_longest_id():
    long = "x" * 40
    chain = history(revision(long))
    told = timeline({long: STATEMENTS["aaa1"]})
    seen = placed(at=long, version_tables=(), history=chain, recorded=told)
    assert "VARCHAR(64)" in statements(cures(CHECK, seen)[0])[0]


def test_on_postgresql_it_goes_where_alembic_would_look():
    told = timeline({"aaa1": (create("users", "id", schema="app"),)}, dialect="postgresql")
    identity = replace(IDENTITY, search_path=("app", "public"))
    seen = placed(
        at="aaa1",
        version_tables=(),
        history=history(revision("aaa1")),
        recorded=told,
        identity=identity,
    )
    (cure,) = cures(CHECK, seen)
    assert statements(cure, "postgresql")[0].startswith('CREATE TABLE "app"."alembic_version"')


def test_a_half_run_revision_is_not_recorded():
    (cure,) = cures(CHECK, placed(at="bbb2", steps=1, version_tables=()))
    assert after(cure) == ["bbb2"]


def test_never_a_second_table_and_never_on_faith():
    other = version_table("ccc3", schema="meta", configured=False)
    (cure,) = cures(CHECK, placed(version_tables=(other,)))
    assert isinstance(cure, NeedsHuman)
    gone = (fact("users", "column", "email"),)
    (cure,) = cures(CHECK, placed(version_tables=(), without=gone))
    assert isinstance(cure, NeedsHuman)
    assert "never stamp head" in cure.why


def test_as_create_all_makes_it_is_no_proof_that_its_revisions_ran():
    key, text = fact("users", "column", "nickname"), "VARCHAR(40)"
    whole = timeline()
    told = replace(whole, created=whole.state(whole.revisions) | {key: text})
    seen = placed(recorded=told, extra={key: text}, version_tables=())
    human, cure = cures(CHECK, seen)
    assert isinstance(human, NeedsHuman)
    assert "as create_all() of the models makes it" in human.why
    assert "column users.nickname is VARCHAR(40), the history makes it TEXT" in human.why
    assert isinstance(cure, Remedy)
    assert (cure.key, cure.default) == ("ccc3", False)
