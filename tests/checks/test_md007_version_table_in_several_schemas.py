"""MD007: an empty twin beside a full one; tenants, and neighbours are silent."""

import pytest

from migdoctor.checks.md007_version_table_in_several_schemas import CHECK
from migdoctor.errors import NotObserved
from migdoctor.facts import Copy
from migdoctor.model import NeedsHuman, Observation, Severity
from tests.checks.ailing import ailing
from tests.facts import version_table


def copy(schema: str, *rows: int | None) -> Copy:
    names = ("orders", "users")
    return Copy(schema=schema, tables=tuple(zip(names, rows, strict=True)))


def sick(*copies: Copy, here: str = "public") -> Observation:
    tables = tuple(
        version_table("ccc3", schema=c.schema, configured=c.schema == here) for c in copies
    )
    return ailing(copies=copies, version_tables=tables)


@pytest.mark.parametrize(
    "copies",
    [
        (),
        (copy("a", 3, 5), copy("b", 2, 9)),
        (copy("a", 0, 0), copy("b", 0, 0)),
        (copy("a", 3, 5), copy("b", 0, 7)),
        (copy("a", 3, 5), copy("b", 4, 4), copy("c", 0, 0)),
    ],
    ids=["none", "tenants", "all fresh", "one is used", "a new tenant"],
)
def test_silent(copies: tuple[Copy, ...]) -> None:
    assert not list(CHECK.find(sick(*copies, here="a")))


def test_blind_where_the_other_may_not_be_read() -> None:
    with pytest.raises(NotObserved, match="tables of b"):
        list(CHECK.find(sick(copy("a", 3, 5), copy("b", 0, None))))


def test_env_py_reads_the_empty_one() -> None:
    seen = sick(copy("app", 0, 0), copy("public", 3, 5), here="app")
    (finding,) = CHECK.find(seen)
    assert finding.severity is Severity.ERROR
    assert "schema public is the real one, it has the rows" in finding.message
    assert "env.py works on app, the empty one" in finding.message
    assert "app.alembic_version: 'ccc3' (the one that env.py reads)" in finding.evidence[1].text
    cure = CHECK.remedy(finding, seen)
    assert isinstance(cure, NeedsHuman)
    assert "nothing outside refers to it" in cure.why


def test_env_py_reads_the_real_one() -> None:
    (finding,) = CHECK.find(sick(copy("app", 0, 0), copy("public", 3, 5)))
    assert finding.severity is None
    assert "which is right" in finding.message
