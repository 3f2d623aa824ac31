"""The number of statements does not depend on the number of tables, and has a ceiling."""

from collections.abc import Callable
from pathlib import Path

import pytest

from migdoctor.connect import Session, address_of, open_reading
from migdoctor.observe import activity, health, identity, leftovers, schema, version_table
from tests.observe.databases import script

POSTGRESQL_CEILING = 14
SQLITE_CEILING = 7


def tables(count: int) -> str:
    made = [
        f"CREATE TABLE t{n} (id integer PRIMARY KEY, a varchar(20) NOT NULL DEFAULT 'x', b int,"
        f" CONSTRAINT uq{n} UNIQUE (a), CONSTRAINT ck{n} CHECK (b > 0),"
        f" CONSTRAINT fk{n} FOREIGN KEY (b) REFERENCES t{max(n - 1, 0)} (id));"
        f"CREATE INDEX ix{n} ON t{n} (b);"
        for n in range(count)
    ]
    return (
        "BEGIN; CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);"
        "INSERT INTO alembic_version VALUES ('a');"
        "CREATE TABLE _migdoctor_q_1_x (a int);" + "".join(made) + "COMMIT;"
    )


def everything(session: Session) -> int:
    """Reads all there is to read; the number of facts."""
    found = version_table.read(session, None, "alembic_version")
    locked = activity.read(session).exclusive if session.dialect == "postgresql" else {}
    seen = schema.read(session, locked)
    leftovers.read(session, seen)
    identity.read(session, found[0])
    if session.dialect == "postgresql":
        health.read(session)
    return len(seen.facts)


def counted(url: str) -> tuple[int, int]:
    with open_reading(address_of(url)) as session:
        facts = everything(session)
        return facts, len(session.statements)


def test_sqlite(tmp_path: Path) -> None:
    seen = []
    for count in (50, 500):
        path = tmp_path / f"{count}.db"
        script(path, tables(count) + "CREATE TABLE _alembic_tmp_t1 (a)")
        seen.append(counted(f"sqlite:///{path}"))
    (few, first), (many, second) = seen
    assert many == 10 * few
    assert first == second
    assert first <= SQLITE_CEILING


@pytest.mark.parametrize("count", [50, 500])
def test_postgresql(pg: str, pg_run: Callable[[str], None], count: int) -> None:
    pg_run(tables(count))
    facts, statements = counted(pg)
    assert facts == count * 9 + 1
    assert statements == POSTGRESQL_CEILING
