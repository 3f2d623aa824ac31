"""The doctor never gets in the way: standby, pooler, many tables, uncommitted changes."""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from migdoctor import samples
from migdoctor.samples import Box, run_sql
from tests.clusters import bouncer, caught_up, replicated
from tests.running import migdoctor

Sample = Callable[[str, str], Box]
Capture = pytest.CaptureFixture[str]
# `make test-real` takes 5000, of which the making alone is 20 s. A quick look at so many takes two
# seconds, with the statements and round-trips of 50 tables (tests/test_budget.py); of the full one,
# nearly all is alembic's own comparison with the models.
MANY = int(os.environ.get("MIGDOCTOR_TEST_TABLES", "150"))
TABLE = "CREATE TABLE t{n} (id serial PRIMARY KEY, a int REFERENCES users (id))"


def libpq(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(False)


def test_a_streaming_standby_and_a_server_with_its_own_settings(
    tmp_path: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        replicated() as (primary, standby),
        samples.build("md303_invalid_index", "postgresql", tmp_path / "p", primary) as box,
    ):
        monkeypatch.chdir(box.folder)
        caught_up(primary, standby)
        direct = migdoctor(capfd, "diagnose", "--format", "json", *box.args)
        assert direct.codes == ["MD303"]
        ran = migdoctor(capfd, "diagnose", "--format", "json", "--url", standby, *box.args)
        assert ran.codes == ["MD005", "MD303"]
        assert ran.document["not_looked"] == []
        assert ran.document["position"] == direct.document["position"]
        refused = migdoctor(
            capfd, "fix", "--apply", "--url", standby, "--allow", "NOT_TRANSACTIONAL", *box.args
        )
        assert refused.code == 4
        # A default server has room for few locks: the many tables must not use them up.
        many = ";\n".join(TABLE.format(n=n) for n in range(MANY))
        for start in range(0, MANY, 100):
            part = many.split(";\n")[start : start + 100]
            run_sql(primary, "BEGIN;\n" + ";\n".join(part) + ";\nCOMMIT")
        run_sql(primary, "INSERT INTO t7 (id) VALUES (3)")
        caught_up(primary, standby)
        for url in (primary, standby):
            words = ("diagnose", "--format", "json", "--select", "MD0,MD1,MD3,MD7")
            looked = migdoctor(capfd, *words, "--url", url, *box.args)
            assert "MD701" in looked.codes
            assert looked.document["not_looked"] == []


def test_through_a_transaction_pooler(sample: Sample, capfd: Capture) -> None:
    box = sample("md402_overlapping_rows", "postgresql")
    direct = migdoctor(capfd, "diagnose", "--format", "json", *box.args)
    with bouncer(box.url) as url:
        ran = migdoctor(capfd, "diagnose", "--format", "json", "--url", url, *box.args)
        text = migdoctor(capfd, "diagnose", "--url", url, *box.args).out
        with closing(psycopg.connect(libpq(url), autocommit=True)) as other:
            left = [
                other.execute(f"SHOW {name}").fetchall()  # type: ignore[call-overload]  # a str
                for name in ("lock_timeout", "default_transaction_read_only")
            ]
    assert ran.codes == direct.codes
    assert ran.document["not_looked"] == []
    assert ran.document["position"] == direct.document["position"]
    assert "pooler" in text
    assert left == [[("0",)], [("off",)]]


def test_an_uncommitted_alter_is_left_out_and_its_holder_named(
    sample: Sample, capfd: Capture
) -> None:
    box = sample("md304_unvalidated_constraint", "postgresql")
    with closing(psycopg.connect(libpq(box.url))) as holder:
        holder.execute("ALTER TABLE orders ADD COLUMN note text")
        ran = migdoctor(capfd, "diagnose", "--format", "json", *box.args)
        pid = holder.info.backend_pid
    (running,) = [f for f in ran.document["findings"] if f["code"] == "MD101"]
    assert f"pid {pid}" in [e["title"] for e in running["evidence"]]
    assert any(f"session {pid} holds" in n["why"] for n in ran.document["not_looked"])
    assert not any(f["code"] == "MD304" for f in ran.document["findings"])  # somebody is at work


def test_information_schema_proves_nothing_missing() -> None:
    """It shows a role only what that role may use (incident 73)."""
    source = Path(__file__).parents[1] / "src" / "migdoctor"
    for path in source.rglob("*.py"):
        assert "FROM information_schema" not in path.read_text(), path
        assert "JOIN information_schema" not in path.read_text(), path


def test_what_a_role_may_not_see_is_not_missing(sample: Sample, capfd: Capture) -> None:
    box = sample("healthy", "postgresql")
    role = f"blind_{make_url(box.owner_url).database}"
    run_sql(box.owner_url, f'CREATE ROLE "{role}" LOGIN')
    box.roles.append(role)
    run_sql(box.owner_url, f'GRANT SELECT ON alembic_version TO "{role}"')
    url = make_url(box.owner_url).set(username=role).render_as_string(False)
    assert run_sql(
        url, "SELECT count(*) FROM information_schema.tables WHERE table_name = 'users'"
    )[0] == (0,)
    ran = migdoctor(capfd, "diagnose", "--format", "json", "--url", url, *box.args)
    assert ran.codes == ["MD006"]
    assert ran.document["position"]["verdict"] == "at-head"


def test_a_schema_that_a_role_may_not_use_is_not_empty(sample: Sample, capfd: Capture) -> None:
    """The server leaves it out of the role's path, where all that is in it seems to be missing."""
    box = sample("healthy", "postgresql")
    database = make_url(box.owner_url).database
    role = f"shut_{database}"
    for statement in (
        "ALTER SCHEMA public RENAME TO app", "REVOKE ALL ON SCHEMA app FROM public",
        "CREATE SCHEMA public", f'ALTER DATABASE "{database}" SET search_path = app, public',
        f'CREATE ROLE "{role}" LOGIN',
    ):  # fmt: skip
        run_sql(box.owner_url, statement)
    box.roles.append(role)
    url = make_url(box.owner_url).set(username=role).render_as_string(False)
    words = ("diagnose", "--format", "json", "--url", url, *box.args)
    ran = migdoctor(capfd, *words)
    assert (ran.codes, ran.code) == ([], 3)
    unknown = {n["code"]: n["why"] for n in ran.document["not_looked"]}
    assert {"MD401", "MD501", "MD507", "MD601", "MD602", "MD701"} <= unknown.keys()
    assert unknown["MD401"].startswith("app.alembic_version: this role may not read it")
    # Where the record can be read, the tables that it speaks of are as unknown as before.
    for statement in (
        "ALTER TABLE app.alembic_version SET SCHEMA public",
        f'GRANT USAGE ON SCHEMA public TO "{role}"',
        f'GRANT SELECT ON public.alembic_version TO "{role}"',
    ):
        run_sql(box.owner_url, statement)
    ran = migdoctor(capfd, *words)
    assert ran.codes == ["MD006"]
    (lacking,) = ran.document["findings"]
    assert f'GRANT USAGE ON SCHEMA "app" TO "{role}"' in lacking["evidence"][1]["text"]
    assert ran.document["position"]["verdict"] == "unknown"
    unknown = {n["code"]: n["why"] for n in ran.document["not_looked"]}
    assert "may not use schema app" in unknown["MD501"]
    owner = migdoctor(capfd, "diagnose", "--format", "json", *box.args)
    assert (owner.codes, owner.document["position"]["verdict"]) == ([], "at-head")
