"""Every sample on every engine it can be built on: diagnose, fix, fix --apply, undo.

Variants of a sample (`__` in the name) only on one engine, unless MIGDOCTOR_TEST_ALL is set
(`make test-real`). A few also on an older server than the shadow's; `make test-servers` runs those
for PostgreSQL on every server that there is.
All checks look at all samples, before and after: a check that speaks on a neighbour's sample, or a
cure that brings another sickness, fails here.
"""

import json
import os
import re
from collections.abc import Callable
from importlib.resources import files

import jsonschema
import pytest

from migdoctor import samples
from migdoctor.samples import Box
from tests.running import LIVE, Ran, files_of, migdoctor, picture

SCHEMA = json.loads(files("migdoctor").joinpath("report/schema.json").read_text())
WHOLE = "MIGDOCTOR_TEST_ALL" in os.environ
NEED_ROWS = ("MD209", "MD210")  # what is too long, and what has run, no file says
LEFT = ("md206_multiple_heads__not_commuting", "md212_dynamic_identifiers")  # for people
ALL = [
    (name, dialect)
    for name in samples.names()
    for dialect in samples.dialects(name)[: None if WHOLE or "__" not in name else 1]
]
if not LIVE:
    ALL += [(name, "older") for name in ("md303_invalid_index", "md705_owner_drift")]


def ask(capfd: pytest.CaptureFixture[str], box: Box, *words: str) -> Ran:
    """A command on a sample, as JSON that keeps the published contract."""
    ran = migdoctor(capfd, *words, "--format", "json", *box.args)
    jsonschema.validate(ran.document, SCHEMA)
    assert ran.document["exit_code"] == ran.code
    return ran


def fresh(box: Box, command: str) -> tuple[int, str]:
    """The same alembic command on a database that has nothing yet: cured files serve both."""
    line = f"sqlalchemy.url = sqlite:///{box.folder / 'app.db.fresh'}"
    ini = (box.folder / "alembic.ini").read_text()
    (box.folder / "app.db.ini").write_text(re.sub(r"(?m)^sqlalchemy\.url.*$", lambda _: line, ini))
    return box.alembic(f"-c app.db.ini {command}")


@pytest.mark.parametrize("name", [name for name in samples.names() if name.startswith("md2")])
def test_every_sick_history_has_a_repository_and_a_cure_that_alembic_upgrades(name: str) -> None:
    assert any("commit" in step for step in samples.recipe(name)["build"])
    expect = samples.expectation(name, samples.dialects(name)[0])
    assert name in LEFT or (expect.plan and expect.then == "upgrade heads")


@pytest.mark.parametrize(("name", "dialect"), ALL, ids=["-".join(pair) for pair in ALL])
def test_sample(
    name: str,
    dialect: str,
    sample: Callable[[str, str], Box],
    capfd: pytest.CaptureFixture[str],
) -> None:
    box = sample(name, dialect)
    expect = box.expect
    files = files_of(box)
    before = picture(box)

    seen = ask(capfd, box, "diagnose")
    assert seen.codes == sorted(expect.codes)
    assert seen.code == expect.exit
    if name.startswith("md2"):
        alone = ask(capfd, box, "diagnose", "--select", "MD2")
        assert alone.codes == [c for c in seen.codes if c[:3] == "MD2" and c not in NEED_ROWS]
    assert (files_of(box), picture(box)) == (files, before)

    choice = [word for only in expect.only for word in ("--only", only)]
    planned = ask(capfd, box, "fix", *choice)
    assert (files_of(box), picture(box)) == (files, before)
    if expect.exit in (2, 3):
        return
    plan = planned.document["plan"]
    assert sorted({step["code"] for step in plan["steps"]}) == sorted(set(expect.plan))
    assert sorted({h for step in plan["steps"] for h in step["hazards"]}) == sorted(expect.hazards)
    if plan["steps"] and not expect.rehearsed:
        assert planned.document["rehearsal"]["how"] == "none"
    elif plan["steps"]:
        assert planned.document["rehearsal"]["passed"], planned.document["rehearsal"]["why"]
        assert planned.document["rehearsal"]["how"] != "none"
        assert any(plan["diff"].values()) is expect.diff

    consent = [word for hazard in expect.allow for word in ("--allow", hazard)]
    fixed = ask(capfd, box, "fix", "--apply", *choice, *consent)
    assert fixed.codes == sorted(expect.left), fixed.document.get("error")
    assert fixed.code == expect.fix_exit
    for table, count in expect.rows.items():
        assert box.count(table) == count
    outcome = fixed.document["outcome"]
    if outcome is None:
        assert picture(box) == before
        return
    assert outcome["error"] is None
    if all(step["undo"] is not None for step in plan["steps"]):
        taken_back = migdoctor(capfd, "undo", outcome["run"], *box.args)
        assert taken_back.code == 0, taken_back.err
        assert picture(box) == before
        again = ask(capfd, box, "fix", "--apply", *choice, *consent)
        assert again.codes == sorted(expect.left)
    if expect.then:
        status, output = box.alembic(expect.then)
        assert status == 0, output
        if dialect == "sqlite" and {step["kind"] for step in plan["steps"]} == {"file"}:
            status, output = fresh(box, expect.then)
            assert status == 0, output
