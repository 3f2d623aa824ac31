"""MD209: an id against the width of the version column."""

import pytest

from migdoctor.checks.md209_revision_id_too_long import CHECK
from migdoctor.model import NeedsHuman, Observation, Remedy
from tests.checks.graphs import CHAIN, changed, cures, files, found, revision, table, why, written

LONG = revision("add_the_second_address_of_a_customer", "ccc3")


def on_postgresql(width: int | None) -> Observation:
    tables = (table("ccc3", schema="public", width=width),)
    return files(*CHAIN, LONG, dialect="postgresql", version_tables=tables)


def test_silent_about_short_ids():
    tables = (table(schema="public", width=32),)
    assert not found(CHECK, files(*CHAIN, dialect="postgresql", version_tables=tables))


@pytest.mark.parametrize("width", [255, 36, None])
def test_silent_when_the_column_is_wide_enough(width: int | None):
    assert not found(CHECK, on_postgresql(width))


def test_silent_on_sqlite_which_ignores_the_width():
    assert not found(CHECK, files(*CHAIN, LONG))
    assert not found(CHECK, files(*CHAIN, LONG, version_tables=()))


def test_an_id_that_does_not_fit():
    seen = on_postgresql(35)
    (finding,) = found(CHECK, seen)
    assert "has 36 characters and version_num holds 35" in finding.message
    assert why(CHECK, seen) == "cured by MD408, which widens the column"


def test_without_a_version_table_alembic_is_going_to_make_one_of_32():
    seen = files(*CHAIN, LONG, dialect="postgresql", version_tables=())
    assert "version_num holds 32" in found(CHECK, seen)[0].message
    assert "no version table yet" in why(CHECK, seen)


def test_a_shorter_id_in_every_file_that_names_it():
    heir = revision("eee5", LONG.id)
    seen = written(*CHAIN, LONG, heir, dialect="postgresql", version_tables=())
    human, remedy = cures(CHECK, seen)
    assert isinstance(human, NeedsHuman)
    assert isinstance(remedy, Remedy)
    assert (remedy.key, remedy.default) == ("shorten", False)
    short = LONG.id[:32].rstrip("_")
    assert changed(remedy) == {
        LONG.path.stem: [f"revision = {short!r}"],
        "eee5": [f"down_revision = {short!r}"],
    }
