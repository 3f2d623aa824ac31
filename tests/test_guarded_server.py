"""A server that takes only TLS and passwords: every way in works, and no secret comes out."""

import os
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from migdoctor import samples
from migdoctor.samples import Box
from tests.clusters import Guarded, guarded
from tests.running import Ran, migdoctor

Capture = pytest.CaptureFixture[str]
PASSWORD = "p%s/w:'rd@1"  # characters that a URL, a file or a shell minds
SECRETS = (PASSWORD, quote(PASSWORD, ""), quote_plus(PASSWORD), PASSWORD.replace(":", "\\:"))


@pytest.fixture(scope="module")
def live() -> Iterator[Guarded]:
    with guarded(PASSWORD) as server:
        yield server


@pytest.fixture(scope="module")
def sick(live: Guarded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A sample there, for all tests: they leave the database as they found it."""
    url = live.with_password(PASSWORD, sslmode="require")
    folder = tmp_path_factory.mktemp("guarded") / "project"
    with samples.build("md402_overlapping_rows", "postgresql", folder, url) as made:
        yield made


@pytest.fixture
def box(sick: Box, monkeypatch: pytest.MonkeyPatch) -> Box:
    """The sample, with the password in its alembic.ini and none in the environment."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        monkeypatch.delenv(name)
    samples._point(sick, sick.owner_url)
    monkeypatch.chdir(sick.folder)
    return sick


def silent(ran: Ran, *secrets: str) -> Ran:
    """The same, when none of the secrets is in what was printed."""
    for secret in secrets or SECRETS:
        assert secret not in ran.out + ran.err
    return ran


def test_a_whole_treatment_tells_the_password_nowhere(
    box: Box, capfd: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, cache, plan = tmp_path / "state", tmp_path / "cache", tmp_path / "plan.json"
    monkeypatch.setenv("MIGDOCTOR_STATE", str(state))
    monkeypatch.setenv("MIGDOCTOR_CACHE", str(cache))
    seen = silent(migdoctor(capfd, "-v", "diagnose", "--format", "json", *box.args))
    assert (seen.codes, seen.document["not_looked"]) == (sorted(box.expect.codes), [])
    planned = silent(migdoctor(capfd, "-v", "fix", "--format", "json", *box.args))
    rehearsal = planned.document["rehearsal"]
    assert (rehearsal["how"], rehearsal["passed"]) == ("schema-copy", True), rehearsal["why"]
    silent(migdoctor(capfd, "-v", "fix", "--out", str(plan), *box.args))
    done = silent(migdoctor(capfd, "-v", "fix", "--apply", "--plan", str(plan), *box.args))
    assert done.code == 0
    back = silent(migdoctor(capfd, "-v", "undo", *box.args))
    assert back.code == 0
    written = [p for folder in (state, cache) for p in folder.rglob("*") if p.is_file()]
    assert {path.suffix for path in written} >= {".jsonl", ".timeline"}
    for path in (plan, *written):
        content = path.read_bytes()
        content = zlib.decompress(content) if path.is_relative_to(cache) else content
        assert not [secret for secret in SECRETS if secret.encode() in content], path


# --- ways in ------------------------------------------------------------------------------------


@pytest.fixture
def files(live: Guarded, tmp_path: Path) -> dict[str, str]:
    """A password file and a service file for that server, and environments that name them."""
    host, port = live.url.split("@")[1].split("/")[0].split(":")
    passwords, services = tmp_path / "pass word", tmp_path / "services"
    escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    passwords.write_text(f"{host}:{port}:app:app:{escaped}\n")
    passwords.chmod(0o600)
    services.write_text(
        f"[prod]\nhost={host}\nport={port}\ndbname=app\nuser=app\nsslmode=verify-full\n"
        f"sslrootcert={live.certificate}\npassfile={passwords}\n"
    )
    return {"PGPASSFILE": str(passwords), "PGSERVICEFILE": str(services)}


def by_password_file(live: Guarded, files: dict[str, str]) -> tuple[str, dict[str, str]]:
    return f"{live.url}?sslmode=require", {"PGPASSFILE": files["PGPASSFILE"]}


def by_password_file_of_the_url(live: Guarded, files: dict[str, str]) -> tuple[str, dict[str, str]]:
    return f"{live.url}?ssl=require&passfile={quote(files['PGPASSFILE'])}", {}


def by_service(_: Guarded, files: dict[str, str]) -> tuple[str, dict[str, str]]:
    return "postgresql+psycopg:///?service=prod", {"PGSERVICEFILE": files["PGSERVICEFILE"]}


def by_certificate(live: Guarded, _: dict[str, str]) -> tuple[str, dict[str, str]]:
    return live.with_password(
        PASSWORD, sslmode="verify-full", sslrootcert=str(live.certificate)
    ), {}


@pytest.mark.parametrize("way", [by_password_file_of_the_url, by_certificate])
def test_every_way_in_works(
    way: Callable[[Guarded, dict[str, str]], tuple[str, dict[str, str]]],
    live: Guarded,
    box: Box,
    files: dict[str, str],
    capfd: Capture,
) -> None:
    url, _ = way(live, files)
    words = ("diagnose", "--quick", "--format", "json", "--url", url)
    ran = silent(migdoctor(capfd, *words, *box.args))
    assert ran.codes == sorted(box.expect.codes)


@pytest.mark.parametrize("way", [by_password_file, by_service])
def test_what_libpq_finds_by_itself_serves_the_rehearsal_too(
    way: Callable[[Guarded, dict[str, str]], tuple[str, dict[str, str]]],
    live: Guarded,
    box: Box,
    files: dict[str, str],
    capfd: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, environment = way(live, files)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ran = silent(migdoctor(capfd, "fix", "--format", "json", "--url", url, *box.args))
    assert (ran.codes, ran.document["not_looked"]) == (sorted(box.expect.codes), [])
    assert ran.document["rehearsal"]["how"] == "schema-copy", ran.document["rehearsal"]["why"]


def test_env_py_may_name_a_service(
    live: Guarded, box: Box, files: dict[str, str], capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, environment = by_service(live, files)
    monkeypatch.setenv("PGSERVICEFILE", environment["PGSERVICEFILE"])
    samples._point(box, url)
    ran = silent(migdoctor(capfd, "diagnose", "--format", "json", *box.args))
    assert (ran.codes, ran.document["not_looked"]) == (sorted(box.expect.codes), [])
    assert ran.document["target"]["url"] == "postgresql:///?service=prod"


WRONG = "wr0ng/%:pass"
REFUSED = {
    "another password": ("{wrong}?sslmode=require", "password authentication failed", "password"),
    "no password": ("{bare}?sslmode=require", "no password supplied", "PGPASSFILE"),
    "no TLS": ("{right}?sslmode=disable", "no encryption|SSL off", "sslmode=require"),
    "another root": (
        "{right}?sslmode=verify-full&sslrootcert={another}", "certificate", "sslrootcert",
    ),
    "another name": (
        "{by_number}?sslmode=verify-full&sslrootcert={root}", "does not match host", "host name",
    ),
    "no such service": ("postgresql+psycopg:///?service=nope", "service", "PGSERVICEFILE"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_is_two_sentences_without_the_password(
    case: str, live: Guarded, box: Box, capfd: Capture
) -> None:
    template, words, advice = REFUSED[case]
    right = live.with_password(PASSWORD)
    url = template.format(
        right=right, wrong=live.with_password(WRONG), bare=live.url, another=live.another,
        by_number=right.replace("localhost", "127.0.0.1"), root=live.certificate,
    )  # fmt: skip
    samples._point(box, url)
    secrets = (*SECRETS, WRONG, quote(WRONG, ""), quote_plus(WRONG))
    for words_of_call in (("diagnose", "--format", "json"), ("fix", "--apply")):
        ran = silent(migdoctor(capfd, "-v", *words_of_call, *box.args), *secrets)
        assert ran.code == 3
        if "json" in words_of_call:
            (found,) = ran.document["findings"]
            assert found["code"] == "MD003"
            assert re.search(words, found["message"]), found["message"]
            assert advice in found["help"]
            assert (found["message"][-1], found["help"][-1]) == (".", ".")
        assert "Traceback" not in ran.out + ran.err
