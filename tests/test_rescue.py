"""No row is lost: every sample of a failed batch, cured, beside what a blind DROP TABLE does."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from migdoctor import samples
from migdoctor.samples import Box, build

LEFTOVERS = [n for n in samples.names() if n.startswith(("md301", "md302"))]
ONLY_COPIES = [n for n in LEFTOVERS if n.startswith("md302")]
PREFIX = re.compile(r"^(_alembic_tmp_|_migdoctor_q_[0-9a-f]+_)")


def rows(file: Path) -> set[tuple[str, int]]:
    """(table, id) of every row, wherever it is: in the table, in its copy, or put aside."""
    with closing(sqlite3.connect(file)) as database:
        names = [
            name
            for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if name != "alembic_version"
        ]
        return {
            (PREFIX.sub("", name)[:37], id)
            for name in names
            for (id,) in database.execute(f'SELECT id FROM "{name}"')
        }


def ask(file: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as database:
        return database.execute(sql).fetchall()


def fix(box: Box, *more: str) -> str:
    """`migdoctor fix --apply`, for real; its report."""
    ran = subprocess.run(
        [sys.executable, "-m", "migdoctor", "fix", "--apply", *more, *box.args],
        cwd=box.folder,
        env=os.environ | box.env | {"XDG_STATE_HOME": str(box.folder / "state")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode in (0, 1), ran.stderr
    return ran.stdout


@pytest.mark.parametrize("sample", LEFTOVERS)
def test_every_row_is_still_there_after_the_cure(sample: str, tmp_path: Path):
    with build(sample, "sqlite", tmp_path) as box:
        before = rows(tmp_path / "app.db")
        fix(box)
        assert rows(tmp_path / "app.db") == before
        assert before


@pytest.mark.parametrize("sample", ONLY_COPIES)
def test_a_blind_drop_would_have_lost_rows(sample: str, tmp_path: Path):
    with build(sample, "sqlite", tmp_path):
        before = rows(tmp_path / "app.db")
        blind = shutil.copy(tmp_path / "app.db", tmp_path / "blind.db")
        tables = ask(blind, "SELECT name FROM sqlite_master WHERE name GLOB '_alembic_tmp_*'")
        with closing(sqlite3.connect(blind)) as database:
            for (name,) in tables:
                database.execute(f'DROP TABLE "{name}"')
            database.commit()
        assert rows(blind) < before


def test_a_rescued_table_has_its_rows_and_its_index(tmp_path: Path):
    with build("md302_tmp_table_holds_data", "sqlite", tmp_path) as box:
        copied = ask(tmp_path / "app.db", "SELECT * FROM _alembic_tmp_orders ORDER BY id")
        fix(box)
        assert ask(tmp_path / "app.db", "SELECT * FROM orders ORDER BY id") == copied
        indexes = ask(tmp_path / "app.db", "SELECT name FROM pragma_index_list('orders')")
        assert indexes == [("ix_orders_user_id",)]
        assert ask(tmp_path / "app.db", "PRAGMA foreign_key_check") == []


def test_views_and_triggers_that_name_the_lost_table_work_again(tmp_path: Path):
    with build("md302_tmp_table_holds_data__view", "sqlite", tmp_path) as box:
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            ask(tmp_path / "app.db", "SELECT * FROM addresses")
        fix(box)
        assert len(ask(tmp_path / "app.db", "SELECT * FROM addresses")) == 3
        with closing(sqlite3.connect(tmp_path / "app.db")) as database:
            database.execute("INSERT INTO orders (user_id, total) VALUES (1, 5)")
            database.commit()
        named = ask(tmp_path / "app.db", "SELECT nickname FROM users WHERE id = 1")
        assert named == [("customer",)]


def test_the_disguised_case_is_left_exactly_as_it_is(tmp_path: Path):
    with build("md302_tmp_table_holds_data__disguised", "sqlite", tmp_path) as box:
        before = (tmp_path / "app.db").read_bytes()
        assert "drop neither" in " ".join(fix(box).split())
        assert (tmp_path / "app.db").read_bytes() == before


def test_the_table_alone_can_be_rescued_without_its_indexes(tmp_path: Path):
    with build("md302_tmp_table_holds_data", "sqlite", tmp_path) as box:
        fix(box, "--only", "MD302:table-only")
        assert box.count("orders") == 2
        assert ask(tmp_path / "app.db", "SELECT name FROM pragma_index_list('orders')") == []
