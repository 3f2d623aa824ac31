"""MD505: which of two files with one id is in the schema."""

from dataclasses import replace
from pathlib import Path

import pytest

from migdoctor.checks.md501_stamped_past import CHECK as PAST
from migdoctor.checks.md505_shadowed_twin_never_ran import CHECK
from migdoctor.model import NeedsHuman
from tests.checks.placed import (
    STATEMENTS,
    cures,
    data,
    fact,
    history,
    only,
    placed,
    ran,
    remedies,
    timeline,
)
from tests.facts import healthy, revision

HIDDEN = replace(revision("ccc3", "bbb2", sha="other"), path=Path("versions/ccc3_hidden.py"))
TWINS = history(revision("aaa1"), revision("bbb2", "aaa1"), HIDDEN, revision("ccc3", "bbb2"))
MORE = {fact("users", "column", "phone"): "TEXT"}


def test_silent_without_twins():
    assert not list(CHECK.find(healthy()))
    assert not list(CHECK.find(placed("ccc3", at="bbb2")))


def test_silent_when_the_id_was_not_reached():
    assert not list(CHECK.find(placed("bbb2", at="bbb2", history=TWINS)))


def test_silent_when_the_files_are_copies():
    copies = history(*TWINS.revisions[:2], replace(HIDDEN, sha="ccc3"), revision("ccc3", "bbb2"))
    assert not list(CHECK.find(placed("ccc3", history=copies)))


def test_silent_when_both_seem_to_have_run():
    assert not list(CHECK.find(placed("ccc3", history=TWINS, extra=MORE)))


def test_the_loaded_file_is_run_when_the_other_one_ran():
    seen = placed("ccc3", at="bbb2", history=TWINS, extra=MORE)
    finding = only(CHECK, seen)
    assert "what ccc3.py makes is missing" in finding.message
    assert "column users.phone" in finding.evidence[2].text
    (cure,) = remedies(CHECK, seen).values()
    assert cure.default
    assert ran(cure) == [s.sql for s in STATEMENTS["ccc3"]]
    assert not list(PAST.find(seen))


def test_rows_are_not_changed_unasked():
    told = timeline(STATEMENTS | {"ccc3": (*STATEMENTS["ccc3"], data())})
    seen = placed("ccc3", at="bbb2", history=TWINS, recorded=told)
    assert [cure.default for cure in remedies(CHECK, seen).values()] == [False]


def test_of_the_file_that_is_never_loaded_nothing_can_be_run():
    seen = placed("ccc3", history=TWINS)
    finding = only(CHECK, seen)
    assert finding.path == HIDDEN.path
    assert "ccc3_hidden.py has the same id and never ran" in finding.message
    (cure,) = cures(CHECK, seen)
    assert isinstance(cure, NeedsHuman)
    assert "new id" in cure.why


@pytest.mark.parametrize("rows", [("zzz9",), ("ccc3", None)])
def test_silent_until_every_row_names_a_revision(rows: tuple[str | None, ...]):
    assert not list(CHECK.find(placed(*rows, at="bbb2", history=TWINS)))
