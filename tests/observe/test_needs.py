"""Schemas and extensions that pending revisions need, against what a real server grants."""

from collections.abc import Callable

import pytest

from migdoctor.connect import address_of, open_reading
from migdoctor.facts import FactKey, Schema
from migdoctor.model import Observation
from migdoctor.observe import needs
from migdoctor.timeline import Timeline
from tests.checks.ailing import ailing, made, timeline

Run = Callable[[str], None]
WANTED = {
    FactKey("audit", "", "schema", ""): "schema",
    FactKey("", "", "extension", "no_such_thing"): "installed",
    FactKey("", "", "extension", "plpgsql"): "installed",
}


def look(url: str, seen: Observation) -> list[tuple[str, str]]:
    with open_reading(address_of(url)) as session:
        return list(needs.read(session, seen))


@pytest.fixture
def bare(pg: str, pg_run: Run) -> object:
    pg_run("CREATE ROLE bare LOGIN")
    yield pg.replace("postgres@", "bare@")
    pg_run("DROP ROLE bare")


def test_a_superuser_lacks_only_what_the_server_lacks(pg: str) -> None:
    seen = ailing(row="bbb2", timeline=timeline(ccc3=made(WANTED)))
    ((what, run),) = look(pg, seen)
    assert "extension no_such_thing is not installed on this server" in what
    assert run == ""


def test_a_bare_role_is_told_the_statements(bare: str) -> None:
    seen = ailing(row="bbb2", timeline=timeline(ccc3=made(WANTED)))
    found = dict(look(bare, seen))
    assert found["bare may not create schema audit (CREATE on the database)"] == (
        'CREATE SCHEMA "audit" AUTHORIZATION "bare"'
    )
    assert 'CREATE EXTENSION IF NOT EXISTS "plpgsql"' in found.values()


def test_nothing_for_what_is_there_or_was_done(bare: str) -> None:
    done = ailing(row="ccc3", timeline=timeline(ccc3=made(WANTED)))
    assert look(bare, done) == []
    there = ailing(row="bbb2", timeline=timeline(ccc3=made(WANTED)))
    assert look(bare, there.having(schema=Schema(facts=WANTED))) == []


def test_a_schema_that_no_revision_makes(pg: str) -> None:
    stopped = Timeline(
        dialect="postgresql",
        rung="replay",
        revisions={"aaa1": (made(),), "bbb2": (made(),)},
        failed=("ccc3", '(psycopg.errors.InvalidSchemaName) schema "auth" does not exist'),
    )
    ((what, run),) = look(pg, ailing(row="bbb2", timeline=stopped))
    assert what == "schema auth is not there, and no revision makes it"
    assert run == 'CREATE SCHEMA "auth" AUTHORIZATION "postgres"'
