"""MD302: the only copy gets its name back; of two different copies none is ever chosen."""

import pytest

from migdoctor.checks.md302_tmp_table_holds_data import CHECK
from migdoctor.model import NeedsHuman, Remedy, Sql
from tests.checks.stored import cures, left, only, statements, tmp_table
from tests.facts import healthy

INDEX = "CREATE INDEX ix_users_nick ON users (nick)"
RENAME = [
    "PRAGMA legacy_alter_table = ON",
    'ALTER TABLE "_alembic_tmp_users" RENAME TO "users"',
    "PRAGMA legacy_alter_table = OFF",
]


def test_silent_on_a_well_database():
    assert not list(CHECK.find(healthy()))


@pytest.mark.parametrize(("rows", "original"), [(0, 3), (0, 0), (3, 3), (3, 4), (0, None)])
def test_silent_when_no_row_is_only_here(rows: int, original: int | None):
    assert not list(CHECK.find(left(tmp_table(rows, original))))


def test_the_only_copy_is_renamed_with_every_row_counted():
    seen = left(tmp_table(3, None))
    (cure,) = cures(CHECK, seen)
    assert "_alembic_tmp_users is the only copy of users: 3 rows" in only(CHECK, seen).message
    assert statements(cure) == RENAME
    assert isinstance(cure, Remedy)
    _on, rename, off = cure.steps
    assert isinstance(rename, Sql)
    assert isinstance(off, Sql)
    assert rename.guard
    assert off.guard
    assert rename.guard.answer == "3 rows beside 0 original"
    assert off.guard.answer == 3
    assert rename.undo == ('ALTER TABLE "users" RENAME TO "_alembic_tmp_users"',)
    assert cure.hazards == ()


def test_lost_indexes_and_triggers_are_made_again_and_can_be_taken_back():
    trigger = 'CREATE TRIGGER "low" AFTER INSERT ON users BEGIN SELECT 1; END'
    cure, alone = cures(
        CHECK, left(tmp_table(3, None, lost=(INDEX, trigger), lost_from="sqlite_master"))
    )
    assert statements(cure) == [*RENAME, INDEX, trigger]
    assert isinstance(cure, Remedy)
    assert [s.undo for s in cure.steps[3:] if isinstance(s, Sql)] == [
        ("DROP INDEX ix_users_nick",),
        ('DROP TRIGGER "low"',),
    ]
    assert isinstance(alone, Remedy)
    assert (alone.key, alone.default, statements(alone)) == ("table-only", False, RENAME)


@pytest.mark.parametrize(
    ("sql", "fits"),
    [
        ("CREATE UNIQUE INDEX ix ON users (id, nick)", True),
        ('CREATE INDEX IF NOT EXISTS "ix" ON "users" ("nick" DESC)', True),
        ("CREATE INDEX ix ON users (lower(nick))", True),
        ("CREATE INDEX ix ON users (born)", False),
        ("CREATE INDEX ix ON users (nick, born)", False),
        ("CREATE VIRTUAL TABLE x USING fts5(nick)", False),
    ],
)
def test_an_index_on_a_column_that_is_not_there_cannot_stop_the_rescue(sql: str, fits: bool):
    seen = left(tmp_table(3, None, lost=(sql,), lost_from="models"))
    cure, *_ = cures(CHECK, seen)
    assert statements(cure) == [*RENAME, *([sql] if fits else [])]
    assert ("made again" if fits else "does not fit") in only(CHECK, seen).evidence[1].text


def test_what_cannot_be_restored_is_said():
    finding = only(CHECK, left(tmp_table(3, None)))
    assert "none is known" in finding.evidence[1].text
    assert "re-create them by hand" in finding.help


def test_views_that_name_the_table_are_named():
    seen = left(tmp_table(3, None, blocking_views=(("addresses", "CREATE VIEW ..."),)))
    assert "addresses" in only(CHECK, seen).evidence[-1].text
    assert "fails while addresses names it" in only(CHECK, seen).help


@pytest.mark.parametrize("original", [0, 2])
def test_the_disguised_case_is_never_touched(original: int):
    seen = left(tmp_table(3, original))
    (cure,) = cures(CHECK, seen)
    assert isinstance(cure, NeedsHuman)
    assert f"3 rows and users {original}" in cure.why
    assert f"holds 3 rows, users only {original}" in only(CHECK, seen).message


def test_a_cut_name_is_not_guessed():
    name = "_alembic_tmp_customer_subscription_renewal_reminders_archive"[:50]
    seen = left(tmp_table(3, None, name=name, original=name.removeprefix("_alembic_tmp_")))
    (cure,) = cures(CHECK, seen)
    assert isinstance(cure, NeedsHuman)
    assert "cut at 50" in cure.why
