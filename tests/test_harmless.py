"""Looking never harms: a role that may only read is enough, and no lock is waited for."""

from collections.abc import Callable
from contextlib import closing

import psycopg
import pytest
from sqlalchemy.engine import make_url

from migdoctor import connect
from migdoctor.samples import Box, run_sql
from tests.running import migdoctor

Sample = Callable[[str, str], Box]
WRITTEN = """
SELECT xact_commit IS NOT NULL, tup_inserted + tup_updated + tup_deleted
FROM pg_stat_database WHERE datname = current_database()"""


def libpq(box: Box) -> str:
    return make_url(box.owner_url).set(drivername="postgresql").render_as_string(False)


def read_only_twin(box: Box) -> str:
    """The URL of a role that may SELECT from tables and nothing else."""
    name = f"reader_{make_url(box.owner_url).database}"
    run_sql(box.owner_url, f'CREATE ROLE "{name}" LOGIN')
    run_sql(box.owner_url, f'GRANT USAGE ON SCHEMA public TO "{name}"')
    run_sql(box.owner_url, f'GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{name}"')
    box.roles.append(name)
    return make_url(box.owner_url).set(username=name).render_as_string(False)


def test_a_role_that_may_only_read_sees_everything(
    sample: Sample, capfd: pytest.CaptureFixture[str]
) -> None:
    box = sample("md402_overlapping_rows", "postgresql")
    owner = migdoctor(capfd, "diagnose", "--format", "json", *box.args)
    words = ("diagnose", "--format", "json", "--url", read_only_twin(box), *box.args)
    blind = migdoctor(capfd, *words)
    # That grant leaves the sequences out, and what could not be read is not called well.
    (unknown,) = blind.document["not_looked"]
    assert unknown["code"] == "MD701"
    assert "users_id_seq: this role may not read it or public.users (needs" in unknown["why"]
    grant = f'GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO "{box.roles[-1]}"'
    run_sql(box.owner_url, grant)
    reader = migdoctor(capfd, *words)
    assert reader.document["not_looked"] == owner.document["not_looked"] == []
    assert reader.codes == blind.codes == sorted([*owner.codes, "MD006"])
    assert reader.document["position"] == owner.document["position"]


def test_diagnosing_takes_no_transaction_id_and_changes_no_row(
    sample: Sample, capfd: pytest.CaptureFixture[str]
) -> None:
    box = sample("md402_overlapping_rows", "postgresql")
    with closing(psycopg.connect(libpq(box), autocommit=True)) as watcher:
        if watcher.info.server_version < 150000:
            pytest.skip("pg_stat_force_next_flush, to count without a delay, is new in 15")

        def counters() -> tuple[object, ...]:
            watcher.execute("SELECT pg_stat_force_next_flush()")
            row = watcher.execute(WRITTEN).fetchone()
            xid = watcher.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())").fetchone()
            assert row is not None
            assert xid is not None
            return (*row, *xid)

        before = counters()
        words = ("diagnose", "--quick", "--url", box.url, *box.args)
        assert migdoctor(capfd, *words).code == 1
        assert counters() == before
        assert migdoctor(capfd, "diagnose", *box.args).code == 1
        # The shadow is on the same server in this test and takes transaction ids of its own.
        assert counters()[:2] == before[:2]


def test_no_lock_stronger_than_access_share_and_none_on_user_tables(
    sample: Sample, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    box = sample("md402_overlapping_rows", "postgresql")
    modes: set[tuple[str, str]] = set()
    real = connect.Session.query

    def query(self: connect.Session, sql: str, params: connect.Params | None = None) -> object:
        real(self, "BEGIN")  # so that the locks of the statement can still be seen after it
        answer = real(self, sql, params)
        held = real(
            self,
            "SELECT l.mode, c.relname::text FROM pg_locks l LEFT JOIN pg_class c"
            " ON c.oid = l.relation WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation'",
        )
        real(self, "COMMIT")
        modes.update(held)
        return answer

    monkeypatch.setattr(connect.Session, "query", query)
    migdoctor(capfd, "diagnose", "--quick", "--url", box.url, *box.args)
    assert {mode for mode, _ in modes} == {"AccessShareLock"}
    assert not {name for _, name in modes} & {"users", "orders"}


@pytest.mark.parametrize("table", ["users", "alembic_version"])
def test_an_exclusive_lock_is_reported_and_not_waited_for(
    table: str, sample: Sample, capfd: pytest.CaptureFixture[str]
) -> None:
    box = sample("healthy", "postgresql")
    with closing(psycopg.connect(libpq(box))) as holder:
        holder.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        pid = holder.info.backend_pid
        ran = migdoctor(capfd, "diagnose", "--format", "json", *box.args)
        text = migdoctor(capfd, "diagnose", *box.args).out
    # Who holds the version table like this is at work on a migration, as far as anyone can tell.
    assert ran.codes == (["MD101"] if table == "alembic_version" else [])
    assert ran.code == (1 if table == "alembic_version" else 3)
    assert any(table in n["why"] and str(pid) in n["why"] for n in ran.document["not_looked"])
    assert f"{pid}" in text
    assert table in text
