"""MD202: two files, one id."""

from dataclasses import replace

import pytest

from migdoctor.checks.md202_duplicate_revision_id import CHECK
from migdoctor.graph import History
from migdoctor.model import MoveFile, NeedsHuman, Remedy
from tests.checks.graphs import (
    CHAIN,
    changed,
    cures,
    files,
    found,
    revision,
    text,
    version,
    why,
    written,
)
from tests.checks.placed import fact, placed

TWINS = (*CHAIN, revision("ccc3", "bbb2", name="late"))


def test_silent_when_ids_are_unique():
    assert not found(CHECK, files(*CHAIN))


def test_silent_about_one_file_through_two_locations():
    twice = ((CHAIN[0].path, CHAIN[1].path),)
    assert not found(CHECK, files(*CHAIN, loaded_twice=twice))


def test_the_last_file_counts_and_the_others_never_run():
    (finding,) = found(CHECK, files(*TWINS))
    assert finding.subject == "ccc3"
    assert finding.message.endswith("alembic keeps late.py and never runs ccc3.py")
    assert len(finding.evidence[0].text.splitlines()) == 2


def test_which_one_ran_is_for_a_person_to_see():
    assert "at or beyond ccc3" in why(CHECK, files(*TWINS, rows=("ccc3",)))
    assert "has not reached ccc3" in why(CHECK, files(*TWINS, rows=("bbb2",)))


def test_identical_twins_the_copy_is_put_aside():
    one, other = TWINS[2], TWINS[3]
    seen = files(*TWINS, texts={r.path: text(r) + "# note\n" * (r is other) for r in (one, other)})
    (remedy,) = cures(CHECK, seen)
    assert isinstance(remedy, Remedy)
    aside = one.path.with_name("ccc3.py.migdoctor")
    assert remedy.steps == (MoveFile(path=one.path, to=aside, sha256=one.sha),)


def test_where_none_ran_the_older_one_in_git_keeps_the_id():
    past = {
        "ccc3": (version(TWINS[3], "bbb2", commit="c1"), version(TWINS[2], "bbb2", commit="c2"))
    }
    remedy, other = cures(CHECK, written(*TWINS, rows=("bbb2",), versions=past))
    assert isinstance(remedy, Remedy)
    assert isinstance(other, Remedy)
    assert (remedy.key, remedy.default, other.default) == ("keep-late", True, False)
    (lines,) = changed(remedy).values()
    assert list(changed(remedy)) == ["ccc3"]
    assert lines[1] == "down_revision = 'ccc3'"
    both = {"ccc3": (past["ccc3"][0], version(TWINS[2], "bbb2", commit="c1"))}
    human, *choices = cures(CHECK, written(*TWINS, rows=("bbb2",), versions=both))
    assert isinstance(human, NeedsHuman)
    assert [c.key for c in choices if isinstance(c, Remedy)] == ["keep-ccc3", "keep-late"]


@pytest.mark.parametrize(("ran", "kept"), [("late", "keep-late"), ("ccc3", "keep-ccc3")])
def test_the_one_whose_footprint_is_there_keeps_the_id(ran: str, kept: str):
    twins = (TWINS[0], TWINS[1], *(replace(r, sha=r.path.stem) for r in TWINS[2:]))
    texts = {r.path: text(r, f"op.do({r.path.stem!r})") for r in twins}
    at = {"late": {"at": "ccc3"}, "ccc3": {"at": "bbb2", "extra": {fact("gone", "table"): "table"}}}
    seen = placed("ccc3", history=History(revisions=twins), texts=texts, **at[ran])
    first = cures(CHECK, seen)[0]
    assert isinstance(first, Remedy)
    assert (first.key, first.default) == (kept, True)


def test_left_to_a_person_with_several_heads_or_a_computed_id():
    fork = (*TWINS, revision("ddd4", "bbb2"))
    assert "no single head" in why(CHECK, written(*fork, rows=("bbb2",)))
    odd = {r.path: text(r).replace("revision = 'ccc3'", "revision = ID") for r in TWINS[2:]}
    (human,) = cures(CHECK, files(*TWINS, texts=odd | {TWINS[3].path: "ID = 1\nrevision = ID\n"}))
    assert isinstance(human, NeedsHuman)
