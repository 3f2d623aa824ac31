"""Facts of SQLite files: equal where the schema is, different where it is not."""

import hashlib
from pathlib import Path

import pytest

from migdoctor.connect import address_of, open_reading
from migdoctor.facts import FactKey, Schema
from migdoctor.observe import schema
from migdoctor.observe.schema import sqlite_text
from tests.observe.databases import script


def facts(path: Path, sql: str) -> Schema:
    path.unlink(missing_ok=True)
    script(path, sql)
    with open_reading(address_of(f"sqlite:///{path}")) as session:
        return schema.read(session, {})


SAME = {
    "column added later": (
        "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, a VARCHAR(20) DEFAULT 'x')",
        "CREATE TABLE t (id INTEGER PRIMARY KEY);"
        "ALTER TABLE t ADD COLUMN a varchar( 20 ) DEFAULT ('x')",
    ),
    "table and column renamed": (
        "CREATE TABLE t (id INTEGER, b INT, CONSTRAINT f FOREIGN KEY (b) REFERENCES p (id));"
        "CREATE TABLE p (id INTEGER PRIMARY KEY)",
        "CREATE TABLE q (id INTEGER PRIMARY KEY); CREATE TABLE o (id INTEGER, a INT,"
        " CONSTRAINT f FOREIGN KEY(a) REFERENCES q(id)); ALTER TABLE o RENAME TO t;"
        "ALTER TABLE t RENAME COLUMN a TO b; ALTER TABLE q RENAME TO p",
    ),
    "constraint behind the column or the table": (
        'CREATE TABLE t (a INT UNIQUE, "b" INT CHECK (b>0) REFERENCES p(x) ON DELETE NO ACTION)',
        "CREATE TABLE t (a INT, b INT, UNIQUE (a), CHECK (b > 0), FOREIGN KEY (b) REFERENCES p(x))",
    ),
    "batch mode": (
        "CREATE TABLE t (a INT, b INT)",
        "CREATE TABLE t (a INT); CREATE TABLE _alembic_tmp_t (a INT, b INT); DROP TABLE t;"
        "ALTER TABLE _alembic_tmp_t RENAME TO t",
    ),
    "comments, quotes and case": (
        "CREATE TABLE t (a INT DEFAULT NULL, -- first, column\n b TEXT NOT NULL)",
        'create table "t" ("a" int, /* , */ [b] text not null)',
    ),
    "an index": (
        "CREATE TABLE t (a INT); CREATE UNIQUE INDEX i ON t (a) WHERE a > 0",
        'CREATE TABLE t (a INT); CREATE UNIQUE INDEX IF NOT EXISTS "i" ON "t"("a" ASC) WHERE a>0',
    ),
}
DIFFERENT = {
    "type": ("CREATE TABLE t (a VARCHAR(20))", "CREATE TABLE t (a VARCHAR(21))"),
    "null": ("CREATE TABLE t (a INT)", "CREATE TABLE t (a INT NOT NULL)"),
    "default": ("CREATE TABLE t (a DEFAULT 'x')", "CREATE TABLE t (a DEFAULT 'X')"),
    "blank in a default": ("CREATE TABLE t (a DEFAULT 'x y')", "CREATE TABLE t (a DEFAULT 'x  y')"),
    "check": ("CREATE TABLE t (a CHECK (a > 1))", "CREATE TABLE t (a CHECK (a > 2))"),
    "collate": ("CREATE TABLE t (a COLLATE NOCASE)", "CREATE TABLE t (a)"),
    "name": ("CREATE TABLE t (a, CONSTRAINT u UNIQUE (a))", "CREATE TABLE t (a, UNIQUE (a))"),
    "on delete": (
        "CREATE TABLE t (a REFERENCES p ON DELETE CASCADE)",
        "CREATE TABLE t (a REFERENCES p ON DELETE SET NULL)",
    ),
    "set null is no null": (
        "CREATE TABLE t (a REFERENCES p ON DELETE SET NULL NOT NULL)",
        "CREATE TABLE t (a REFERENCES p ON DELETE SET NULL)",
    ),
    "autoincrement": (
        "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT)",
        "CREATE TABLE t (a INTEGER PRIMARY KEY)",
    ),
    "generated": (
        "CREATE TABLE t (a INT, b INT GENERATED ALWAYS AS (a + 1))",
        "CREATE TABLE t (a INT, b INT GENERATED ALWAYS AS (a + 2))",
    ),
    "where": (
        "CREATE TABLE t (a); CREATE INDEX i ON t (a) WHERE a > 1",
        "CREATE TABLE t (a); CREATE INDEX i ON t (a)",
    ),
    "trigger": (
        "CREATE TABLE t (a); CREATE TRIGGER g AFTER DELETE ON t BEGIN SELECT 1; END",
        "CREATE TABLE t (a)",
    ),
    "view": (
        "CREATE TABLE t (a); CREATE VIEW v AS SELECT a FROM t",
        "CREATE TABLE t (a); CREATE VIEW v AS SELECT a + 1 FROM t",
    ),
    "without rowid": (
        "CREATE TABLE t (a INT PRIMARY KEY) WITHOUT ROWID",
        "CREATE TABLE t (a INT PRIMARY KEY)",
    ),
}


@pytest.mark.parametrize("case", SAME)
def test_one_schema_reached_in_two_ways_has_the_same_facts(sq: Path, case: str) -> None:
    left, right = SAME[case]
    assert facts(sq, left).lines() == facts(sq, right).lines()


@pytest.mark.parametrize("case", DIFFERENT)
def test_a_difference_is_a_different_fact(sq: Path, case: str) -> None:
    left, right = DIFFERENT[case]
    assert facts(sq, left).fingerprint() != facts(sq, right).fingerprint()


def test_bookkeeping_is_no_fact(sq: Path) -> None:
    bare = facts(sq, "CREATE TABLE t (a INT)")
    more = facts(
        sq,
        "CREATE TABLE t (a INT); CREATE TABLE alembic_version (version_num VARCHAR(32));"
        "CREATE TABLE my_state (version_num TEXT); CREATE TABLE _alembic_tmp_t (a, UNIQUE (a));"
        "CREATE TABLE _migdoctor_q_1_t (a); CREATE INDEX i ON _alembic_tmp_t (a);",
    )
    assert more.facts == bare.facts
    assert ("table", "_alembic_tmp_t") in more.sql


def test_a_table_that_only_resembles_bookkeeping_is_a_fact(sq: Path) -> None:
    seen = facts(
        sq,
        "CREATE TABLE alembic_version_notes (note TEXT);"
        "CREATE TABLE releases (version_num INT, title TEXT)",
    )
    assert seen.tables == {("main", "alembic_version_notes"), ("main", "releases")}


def test_a_broken_view_and_a_foreign_module_hide_nothing(sq: Path) -> None:
    seen = facts(
        sq,
        "CREATE TABLE t (a INT); CREATE TABLE gone (a); CREATE VIEW v AS SELECT a FROM gone;"
        "PRAGMA writable_schema = ON; DELETE FROM sqlite_master WHERE name = 'gone';"
        "INSERT INTO sqlite_master VALUES ('table', 'geo', 'geo', 0,"
        " 'CREATE VIRTUAL TABLE geo USING no_such_module(a)');",
    )
    assert FactKey("main", "v", "view", "") in seen.facts
    assert seen.facts[FactKey("main", "t", "column", "a")] == "INT"
    assert seen.facts[FactKey("main", "geo", "table", "")].startswith("virtual no_such_module")


def test_the_words_behind_a_column_are_told_apart(sq: Path) -> None:
    seen = facts(
        sq,
        "CREATE TABLE t (a INT DEFAULT NULL REFERENCES p (x) ON DELETE SET NULL ON UPDATE SET"
        " DEFAULT NOT DEFERRABLE NOT NULL CHECK (a IS NOT NULL) COLLATE nocase)",
    )
    reference = "(a) references p(x) on delete set null on update set default"
    assert seen.facts == {
        FactKey("main", "t", "table", ""): "table",
        FactKey("main", "t", "column", "a"): "INT NOT NULL COLLATE nocase",
        FactKey("main", "t", "check", "(a is not null)"): "(a is not null)",
        FactKey("main", "t", "foreign_key", reference): reference,
    }


def test_foreign_keys_agree_with_the_pragma(sq: Path) -> None:
    script(
        sq,
        'CREATE TABLE "odd ""p" (x INTEGER PRIMARY KEY);'
        'CREATE TABLE t (a INT DEFAULT -1 REFERENCES "odd ""p"(x) ON UPDATE SET DEFAULT'
        " ON DELETE CASCADE NOT NULL, b TEXT CONSTRAINT nn NOT NULL CONSTRAINT f2 REFERENCES t,"
        " c INT, d INT, FOREIGN KEY (c, d) REFERENCES t(a, b) DEFERRABLE INITIALLY DEFERRED)",
    )
    with open_reading(address_of(f"sqlite:///{sq}")) as session:
        seen = schema.read(session, {})
        pragma = session.query("SELECT id, \"from\" FROM pragma_foreign_key_list('t')")
    keys = [k for k in seen.facts if k.kind == "foreign_key"]
    assert len(keys) == len({number for number, _ in pragma}) == 3
    assert seen.facts[FactKey("main", "t", "foreign_key", "f2")] == "(b) references t"
    assert seen.facts[FactKey("main", "t", "column", "a")] == "INT NOT NULL DEFAULT - 1"


def test_reading_leaves_the_file_as_it_was(sq: Path) -> None:
    script(sq, "CREATE TABLE t (a INT); INSERT INTO t VALUES (1)")
    before = hashlib.sha256(sq.read_bytes()).hexdigest()
    with open_reading(address_of(f"sqlite:///{sq}")) as session:
        schema.read(session, {})
    assert hashlib.sha256(sq.read_bytes()).hexdigest() == before
    assert [p.name for p in sq.parent.iterdir()] == ["app.db"]


def test_tokens_end_with_the_text() -> None:
    # Text that SQLite would refuse must not make the reader loop or fail.
    for broken in ("CREATE TABLE t (a", "CREATE TABLE t (a CHECK ((", "CREATE TABLE 'x", "", "/* "):
        sqlite_text.table(broken)
