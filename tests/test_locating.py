"""`migdoctor locate` and the position in the JSON, on samples that are really broken."""

import json
from collections.abc import Callable
from importlib.resources import files

import jsonschema
import pytest

from migdoctor.samples import Box
from tests.running import migdoctor, picture

SCHEMA = json.loads(files("migdoctor").joinpath("report/schema.json").read_text())
Build = Callable[[str, str], Box]
CASES = [  # sample, verdict, located, certainty, exit status
    ("healthy", "at-head", ["ccc3"], "certain", 0),
    ("md506_pending", "behind", ["bbb2"], "certain", 0),
    ("md506_pending__fresh_database", "empty", [], "certain", 1),
    ("md401_version_table_missing", "unstamped", ["ccc3"], "likely", 1),
    ("md404_unknown_revision", "diverged", ["ccc3"], "likely", 1),
    ("md410_database_newer_than_code", "ahead", ["ccc3"], "likely", 1),
    ("md501_stamped_past", "stamped-past", ["aaa1"], "likely", 1),
    ("md502_stamped_behind", "stamped-behind", ["ccc3"], "likely", 1),
    ("md503_partially_applied", "partial", ["ccc3"], "likely", 1),
    ("md504_skipped_in_the_middle", "stamped-past", ["bbb2"], "likely", 1),
    ("md507_not_locatable", "unknown", None, "unknown", 1),
]


@pytest.mark.parametrize(
    ("name", "verdict", "located", "certainty", "code"), CASES, ids=[case[0] for case in CASES]
)
def test_position(
    name: str,
    verdict: str,
    located: list[str] | None,
    certainty: str,
    code: int,
    sample: Build,
    capfd: pytest.CaptureFixture[str],
) -> None:
    box = sample(name, "sqlite")
    before = picture(box)
    ran = migdoctor(capfd, "locate", "--format", "json", *box.args)
    jsonschema.validate(ran.document, SCHEMA)
    position = ran.document["position"]
    assert ran.document["command"] == "locate"
    assert (position["verdict"], position["located"]) == (verdict, located)
    assert position["certainty"] == certainty
    assert set(located or []) <= set(position["candidates"])
    assert (ran.code, ran.document["exit_code"]) == (code, code)
    assert picture(box) == before


def test_statement_by_statement(sample: Build, capfd: pytest.CaptureFixture[str]) -> None:
    box = sample("md503_partially_applied", "postgresql")
    part = migdoctor(capfd, "locate", "--format", "json", *box.args).document["position"]["partial"]
    assert (part["revision"], part["applied"], part["total"]) == ("ddd4", 2, 5)
    states = [s["state"] for s in part["statements"]]
    assert states == ["applied", "applied", "missing", "missing", "missing"]
    text = migdoctor(capfd, "locate", *box.args).out
    assert "Verdict: partial" in text
    assert "+ applied  CREATE INDEX ix_gifts_user_id" in text
    assert "- missing  ALTER TABLE users ADD COLUMN phone" in text


def test_drift_that_touches_the_history_and_ties_are_shown(
    sample: Build, capfd: pytest.CaptureFixture[str]
) -> None:
    box = sample("md507_not_locatable", "sqlite")
    text = migdoctor(capfd, "locate", *box.args).out
    assert "nowhere for certain" in text
    assert "as near    aaa1" in text
    assert "column users.phone is missing" in text
    assert "users.fax" not in text


def test_quick_says_nothing_of_the_position(
    sample: Build, capfd: pytest.CaptureFixture[str]
) -> None:
    box = sample("md501_stamped_past", "sqlite")
    ran = migdoctor(capfd, "diagnose", "--quick", "--format", "json", *box.args)
    assert ran.document["position"]["located"] is None
    assert ran.document["position"]["verdict"] == "unknown"
    assert "MD501" in ran.document["not_applicable"]
    assert ran.code == 0


def test_without_a_database_nothing_is_located(
    sample: Build, capfd: pytest.CaptureFixture[str]
) -> None:
    box = sample("md003_cannot_connect", "sqlite")
    ran = migdoctor(capfd, "locate", "--format", "json", *box.args)
    assert ran.code == 3
    assert ran.document["error"]["code"] == "MD003"
