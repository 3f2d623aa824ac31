"""MD601: differences at head, what is none of them, and both cures with their undo."""

from dataclasses import replace
from pathlib import Path

import pytest

from migdoctor.checks.md601_drift_from_history import CHECK
from migdoctor.errors import NotApplicable, NotObserved
from migdoctor.facts import Draft, Drift, FactKey, ModelDiff, Schema, TmpTable, VersionTable
from migdoctor.graph import History
from migdoctor.model import (
    EditFile,
    Hazard,
    NeedsHuman,
    Observation,
    Remedy,
    Severity,
    Sql,
    Stamp,
    hazards_of,
)
from tests.checks.placed import fact, placed
from tests.facts import healthy

INDEX = Drift(
    op="add_index", subject="orders.ix_orders_user_id", text="index ix_orders_user_id is missing"
)
CREATE = "CREATE INDEX ix_orders_user_id ON orders (user_id)"
TEXT = '"""record what the database has\n\nRevises: ccc3\n"""\n\nrevision = "ddd4"\n'
DRAFT = Draft(id="ddd4", path=Path("/srv/app/versions/ddd4_record.py"), text=TEXT)
DIFF = ModelDiff(drifts=(INDEX,), restore=((CREATE, ()),), adopt=DRAFT)


def rows(seen: Observation, *rows: str | None) -> Observation:
    tables = tuple(replace(t, rows=rows) for t in seen.version_tables)
    return seen.having(version_tables=tables)


def tmp_of(original: str, original_rows: int | None) -> TmpTable:
    return TmpTable(
        name=f"_alembic_tmp_{original}",
        original=original,
        rows=2,
        original_rows=original_rows,
        ddl="",
        columns=("id",),
    )


def cures(seen: Observation) -> dict[str, Remedy]:
    (finding,) = CHECK.find(seen)
    answer = CHECK.remedy(finding, seen)
    assert isinstance(answer, tuple)
    return {cure.key: cure for cure in answer if isinstance(cure, Remedy)}


def restored(sql: str, *hazards: str, **changes: object) -> Sql:
    """The one step of a restore made of one statement."""
    seen = healthy(models=ModelDiff(drifts=(INDEX,), restore=((sql, hazards),)), **changes)
    (step,) = cures(seen)["restore"].steps
    assert isinstance(step, Sql)
    return step


# --- silent


def test_silent_when_database_and_models_agree():
    assert not list(CHECK.find(healthy(models=ModelDiff())))


@pytest.mark.parametrize("row", ["bbb2", "zzz9", None])
def test_does_not_apply_unless_recorded_at_head(row: str | None):
    with pytest.raises(NotApplicable):
        list(CHECK.find(rows(healthy(models=DIFF), row)))


def test_does_not_apply_without_models():
    seen = healthy().without("models", NotApplicable("models", "no target_metadata"))
    with pytest.raises(NotApplicable):
        list(CHECK.find(seen))


def test_blind_when_the_models_could_not_be_loaded():
    seen = healthy().without("models", NotObserved("models", "env.py fails"))
    with pytest.raises(NotObserved):
        list(CHECK.find(seen))


@pytest.mark.parametrize("name", ["_alembic_tmp_users", "_migdoctor_q_20260101_users"])
def test_a_leftover_is_never_drift(name: str):
    left = Drift(op="remove_table", subject=name, text=f"table {name} is not in the models")
    assert not list(CHECK.find(healthy(models=ModelDiff(drifts=(left,)))))


def test_a_table_that_only_a_leftover_holds_is_no_drift():
    gone = Drift(op="add_table", subject="users", text="table users is missing")
    seen = healthy(models=ModelDiff(drifts=(gone,)), tmp_tables=(tmp_of("users", None),))
    assert not list(CHECK.find(seen))
    beside = seen.having(tmp_tables=(tmp_of("users", 3),))
    assert len(list(CHECK.find(beside))) == 1


# --- found


def test_lists_every_line_of_the_comparison():
    (finding,) = CHECK.find(healthy(models=DIFF))
    assert CHECK.severity is Severity.WARNING
    assert "differ in 1 place:" in finding.message
    assert finding.evidence[0].text == "index ix_orders_user_id is missing"


def test_a_long_list_is_cut_but_counted():
    many = tuple(replace(INDEX, text=f"line {n}") for n in range(45))
    (finding,) = CHECK.find(healthy(models=ModelDiff(drifts=many)))
    assert "differ in 45 places" in finding.message
    lines = finding.evidence[0].text.splitlines()
    assert (len(lines), lines[39], lines[40]) == (41, "line 39", "... and 5 more")


def test_works_where_tmp_tables_have_no_meaning():
    seen = healthy(models=DIFF, dialect="postgresql")
    seen = seen.without("tmp_tables", NotApplicable("tmp_tables", "SQLite only"))
    assert len(list(CHECK.find(seen))) == 1


# --- cures


def test_both_cures_and_neither_by_default():
    both = cures(healthy(models=DIFF))
    assert sorted(both) == ["adopt", "restore"]
    assert not any(cure.default for cure in both.values())


def test_no_cure_while_a_leftover_takes_part_in_the_comparison():
    left = Drift(op="remove_table", subject="_alembic_tmp_users", text="tmp")
    seen = healthy(models=replace(DIFF, drifts=(INDEX, left)))
    (finding,) = CHECK.find(seen)
    (answer,) = CHECK.remedy(finding, seen)
    assert isinstance(answer, NeedsHuman)
    assert "MD302" in answer.why


def test_says_why_there_is_no_cure():
    seen = healthy(models=ModelDiff(drifts=(INDEX,), why_not="the schema has a loop"))
    (finding,) = CHECK.find(seen)
    (answer,) = CHECK.remedy(finding, seen)
    assert isinstance(answer, NeedsHuman)
    assert "the schema has a loop" in answer.why


def test_adopt_writes_the_revision_and_moves_the_row_onto_it():
    seen = healthy(models=DIFF)
    cure = cures(seen)["adopt"]
    edit, stamp = cure.steps
    assert edit == EditFile(path=DRAFT.path, before=None, after=DRAFT.text)
    assert isinstance(stamp, Stamp)
    assert (stamp.before, stamp.after) == (("ccc3",), ("ddd4",))
    assert cure.hazards == ()
    assert cure.remains


def test_adopt_keeps_the_rows_of_others():
    stamp = cures(rows(healthy(models=DIFF), "aaa1", "ccc3"))["adopt"].steps[1]
    assert isinstance(stamp, Stamp)
    assert (stamp.before, stamp.after) == (("aaa1", "ccc3"), ("aaa1", "ddd4"))


def test_what_was_adopted_once_is_not_adopted_or_dropped_next():
    seen = healthy(models=DIFF)
    *older, head = seen.history.revisions
    adopted = replace(head, message="record what the database has")
    seen = seen.having(history=History(revisions=(*older, adopted)))
    (finding,) = CHECK.find(seen)
    (answer,) = CHECK.remedy(finding, seen)
    assert isinstance(answer, NeedsHuman)
    assert "ccc3" in answer.why


def test_adopt_prints_the_file_where_it_may_not_write():
    seen = healthy(models=DIFF, writable_files=False)
    (finding,) = CHECK.find(seen)
    answer = CHECK.remedy(finding, seen)
    assert isinstance(answer, tuple)
    (human,) = (cure for cure in answer if isinstance(cure, NeedsHuman))
    assert DRAFT.text in human.why
    assert "adopt" not in cures(seen)


@pytest.mark.parametrize(
    ("sql", "undo"),
    [
        (CREATE, "DROP INDEX ix_orders_user_id"),
        ('CREATE UNIQUE INDEX "Ix 1" ON shop."Or.ders" ("Id")', 'DROP INDEX shop."Ix 1"'),
        ("ALTER TABLE t ADD COLUMN c VARCHAR(9)", "ALTER TABLE t DROP COLUMN c"),
        ('ALTER TABLE s."t" ADD COLUMN "C" TEXT', 'ALTER TABLE s."t" DROP COLUMN "C"'),
        ("ALTER TABLE t ADD COLUMN c INTEGER REFERENCES u (id)", None),
        ("ALTER TABLE t ADD COLUMN c INTEGER UNIQUE", None),
        ("ALTER TABLE t ADD CONSTRAINT k UNIQUE (a)", "ALTER TABLE t DROP CONSTRAINT k"),
        (
            "ALTER TABLE t ALTER COLUMN c SET NOT NULL",
            "ALTER TABLE t ALTER COLUMN c DROP NOT NULL",
        ),
        (
            "ALTER TABLE t ALTER COLUMN c DROP NOT NULL",
            "ALTER TABLE t ALTER COLUMN c SET NOT NULL",
        ),
        ("ALTER TABLE t ALTER COLUMN c TYPE BIGINT", None),
        ("ALTER TABLE t DROP COLUMN c", None),
        ("ALTER TABLE t DROP CONSTRAINT k", None),
        ("CREATE TABLE t (id INTEGER)", "DROP TABLE t"),
        ("CREATE TABLE t AS SELECT 1 AS id", None),
        ("DROP TABLE t", None),
        ("DROP INDEX never_seen", None),
    ],
)
def test_undo_is_exact_or_absent(sql: str, undo: str | None):
    step = restored(sql)
    assert step.undo == (None if undo is None else (undo,))
    assert (Hazard.IRREVERSIBLE in hazards_of(step)) is (undo is None)


def test_a_dropped_index_comes_back_from_the_text_sqlite_stores():
    stored = "CREATE INDEX ix_mine ON users (lower(email)) WHERE id > 7"
    schema = healthy().schema
    key = FactKey("main", "users", "index", "ix_mine")
    schema = Schema(
        facts={**schema.facts, key: "x"}, sql={**schema.sql, ("index", "ix_mine"): stored}
    )
    step = restored("DROP INDEX ix_mine", "DROPS_OBJECT", schema=schema)
    assert step.undo == (stored,)
    assert step.touches == "table main.users"
    assert step.hazards == (Hazard.DROPS_OBJECT,)


def test_concurrent_statements_stay_out_of_the_transaction():
    assert not restored("CREATE INDEX CONCURRENTLY i ON t (a)").in_transaction
    assert restored("CREATE INDEX i ON t (a)").in_transaction


@pytest.mark.parametrize(
    ("sql", "touches"),
    [
        (CREATE, "table main.orders"),
        ("DROP TABLE orders", "table main.orders"),
        (
            'INSERT INTO "_alembic_tmp_orders" (id) SELECT id FROM orders',
            "table main._alembic_tmp_orders",
        ),
        ("DROP INDEX never_seen", "schema"),
        ("COMMENT ON TABLE orders IS 'x'", "schema"),
    ],
)
def test_every_statement_says_what_it_touches(sql: str, touches: str):
    assert restored(sql).touches == touches


def test_the_version_table_of_the_stamp_is_the_configured_one():
    other = VersionTable(
        schema="main", name="other", rows=("x",), width=None, primary_key=True, configured=False
    )
    seen = healthy(models=DIFF)
    seen = seen.having(version_tables=(other, *seen.version_tables))
    stamp = cures(seen)["adopt"].steps[1]
    assert isinstance(stamp, Stamp)
    assert stamp.table == ("main", "alembic_version")


# --- against the history, where the position is known

FAX = {fact("users", "column", "fax"): "TEXT"}


@pytest.mark.parametrize("row", ["aaa1", "bbb2", "ccc3"])
def test_silent_wherever_the_schema_is_as_the_history_makes_it(row: str):
    assert not list(CHECK.find(placed(row, at=row)))


@pytest.mark.parametrize(("row", "at", "steps"), [("bbb2", "bbb2", 1), ("ccc3", "aaa1", 0)])
def test_what_never_ran_is_no_drift(row: str, at: str, steps: int):
    assert not list(CHECK.find(placed(row, at=at, steps=steps)))


@pytest.mark.parametrize(("row", "at"), [("aaa1", "aaa1"), ("ccc3", "aaa1"), ("aaa1", "ccc3")])
def test_found_below_head_stamped_past_and_stamped_behind(row: str, at: str):
    seen = placed(row, at=at, extra=FAX)
    (finding,) = CHECK.find(seen)
    assert "in 1 place" in finding.message
    assert "column users.fax" in finding.evidence[0].text
    (answer,) = CHECK.remedy(finding, seen)
    assert isinstance(answer, NeedsHuman)


def test_missing_and_changed_parts_are_told_apart():
    email = fact("users", "column", "email")
    (finding,) = CHECK.find(placed("ccc3", without=(email,)))
    assert "column users.email is missing: INTEGER" in finding.evidence[0].text
    (finding,) = CHECK.find(placed("ccc3", extra={email: "TEXT"}))
    assert "is TEXT, the history makes it INTEGER" in finding.evidence[0].text


def test_a_table_is_one_place():
    runs = {fact("runs", "table"): "table", fact("runs", "column", "id"): "INTEGER"}
    (finding,) = CHECK.find(placed("bbb2", at="bbb2", extra=runs))
    assert "in 1 place" in finding.message


def test_other_schemas_and_what_cannot_be_read_do_not_count():
    other = {fact("t", "table", schema="other"): "table"}
    assert not list(CHECK.find(placed("ccc3", extra=other)))
    seen = placed("ccc3", extra=FAX)
    shut = replace(seen.schema, unreadable={"main.users": "locked"})
    with pytest.raises(NotObserved, match=r"main\.users: locked"):  # blindness is not health
        list(CHECK.find(seen.having(schema=shut)))


def test_a_table_that_env_py_leaves_out_does_not_count():
    runs = {fact("runs", "table"): "table"}
    seen = placed("ccc3", extra=runs, models=ModelDiff())
    assert not list(CHECK.find(seen))


def test_a_product_that_makes_its_own_tables_is_drift():
    seen = placed("ccc3", without=(fact("users", "column", "email"),), models=ModelDiff())
    (finding,) = CHECK.find(seen)
    assert "the models agree with it" in finding.message
    (answer,) = CHECK.remedy(finding, seen)
    assert isinstance(answer, NeedsHuman)


def test_both_cures_at_head():
    seen = placed("ccc3", extra=FAX, models=DIFF)
    assert sorted(cures(seen)) == ["adopt", "restore"]


@pytest.mark.parametrize("rows", [("zzz9",), (None, "ccc3")])
def test_does_not_apply_until_every_row_names_a_revision(rows: tuple[str | None, ...]):
    with pytest.raises(NotApplicable):
        list(CHECK.find(placed(*rows, extra=FAX)))
