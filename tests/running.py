"""Runs the command line in this process, and takes pictures of databases and folders."""

import hashlib
import json
import os
import re
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from migdoctor import cli
from migdoctor.samples import Box
from migdoctor.shadow import binaries, server

# A folder of PostgreSQL's server programs (initdb and postgres are enough): the databases that the
# tests look at are then on such a server. The shadow stays the newest that there is.
LIVE = os.environ.get("MIGDOCTOR_TEST_POSTGRES", "")
LIVE = LIVE and str(Path(LIVE).resolve())  # before a test goes into another folder


def live_server() -> server.Server:
    """Where the databases are that the tests look at: what LIVE names, else the shadow's server."""
    return other_server("postgresql") or server.running()


def other_server(engine: str) -> server.Server | None:
    """The live server of an engine where it is not the shadow's own: "older", or what LIVE names.

    Skips the test where this machine has no older one.
    """
    if engine == "postgresql" and LIVE:
        return _server_of(Path(LIVE))
    if engine != "older":
        return None
    newest = binaries.newest()
    older = [b for b in binaries.every() if newest and b.major < newest.major]
    if not older:
        pytest.skip("there are no programs of a PostgreSQL that is older than the shadow's")
    return _server_of(min(older, key=lambda b: b.major).folder)


@cache
def _server_of(folder: Path) -> server.Server:
    known = (b for b in binaries.every() if b.folder.resolve() == folder)
    programs = next(known, None) or binaries._examined(folder, None, ("postgres", "initdb"))
    assert programs, f"MIGDOCTOR_TEST_POSTGRES: there is no server in {folder}"
    return server.started(programs)


@dataclass(frozen=True)
class Ran:
    """Exit status and both streams of one call."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """stdout as the one JSON document that it must be."""
        data: dict[str, Any] = json.loads(self.out)
        return data

    @property
    def codes(self) -> list[str]:
        return sorted(f["code"] for f in self.document["findings"])


def migdoctor(capfd: pytest.CaptureFixture[str], *words: str) -> Ran:
    """`migdoctor WORDS`, with both streams captured at the level of file descriptors."""
    capfd.readouterr()
    code = cli.run(list(words))
    seen = capfd.readouterr()
    return Ran(code, seen.out, seen.err)


def picture(box: Box) -> tuple[str, dict[str, str]]:
    """The logical content of the sample's database, and the hash of every file of its project.

    The database file itself is left out of the files: its content is the first part.
    """
    files = {
        str(path.relative_to(box.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(box.folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith("app.db")
    }
    return dump(box), files


def files_of(box: Box) -> dict[str, str]:
    """The hash of every file of the sample's folder to the byte, the database file included."""
    return {
        str(path.relative_to(box.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(box.folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def dump(box: Box) -> str:
    """All schema and all rows as text, a note where there is no database that can be read now."""
    url = make_url(box.owner_url)
    if box.holders:
        return "held by another process"  # a dump would wait for its locks
    if box.dialect == "sqlite":
        path = Path(url.database or "")
        if not path.is_file():
            return "no file"
        try:
            with closing(sqlite3.connect(path)) as database:
                text = "\n".join(sorted(database.iterdump()))
        except sqlite3.DatabaseError:
            return hashlib.sha256(path.read_bytes()).hexdigest()
        # SQLite quotes the name of a renamed table, whatever it was before: no difference.
        return re.sub(r'(?m)^CREATE TABLE "([A-Za-z_]\w*)" ?\(', r"CREATE TABLE \1 (", text)
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    text = subprocess.run(
        [str(server.running().bin("pg_dump")), "--inserts", plain],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    # pg_dump 18 marks its output with a key that is new each time; row order is not content.
    key = ("\\restrict ", "\\unrestrict ")
    return "\n".join(sorted(x for x in text.splitlines() if not x.startswith(key)))
