"""MD401: tables without a record of where they are."""

import pytest

from migdoctor.checks.md401_version_table_missing import CHECK
from migdoctor.facts import Schema
from migdoctor.model import NeedsHuman
from tests.checks.stored import EMPTY, cures, history, only, stored
from tests.facts import healthy, version_table


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
