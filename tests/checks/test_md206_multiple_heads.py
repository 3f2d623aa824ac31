"""MD206: several ends are by design where something tells them apart."""

from pathlib import Path

import pytest

from migdoctor.checks.md206_multiple_heads import CHECK
from migdoctor.errors import NotApplicable, NotObserved
from migdoctor.facts import Draft
from migdoctor.model import EditFile, Remedy
from tests.checks.graphs import CHAIN, broken, cure, files, found, revision, why

FORK = (*CHAIN, revision("ddd4", "bbb2"))
DRAFT = Draft(id="m5", path=Path("versions/m5_merge.py"), text="revision = 'm5'\n")


@pytest.mark.parametrize(
    "history",
    [
        CHAIN,
        (*FORK, revision("m", "ccc3", "ddd4")),
        (revision("a", labels=("one",)), revision("b", labels=("two",))),
        (*CHAIN, revision("x1", labels=("plugin",))),
        (*CHAIN, revision("x1", depends_on=("ccc3",))),
        (*CHAIN, revision("ddd4", "gone9")),
    ],
    ids=["one", "merged", "labels", "labelled beside plain", "implied", "on a missing parent"],
)
def test_silent_by_design(history: tuple):
    assert not found(CHECK, files(*history))


def test_silent_when_a_head_hangs_on_an_unread_file():
    seen = files(*CHAIN, revision("ddd4", "x9"), broken=(broken("x9.py", id="x9"),))
    assert not found(CHECK, seen)


def test_two_heads_are_named_with_what_is_applied():
    (finding,) = found(CHECK, files(*FORK, rows=("ccc3",)))
    assert "2 heads, ccc3, ddd4" in finding.message
    assert finding.evidence[0].text.splitlines() == [
        *("versions/ccc3.py:8 ccc3 after bbb2, applied here", "versions/ddd4.py:8 ddd4 after bbb2"),
    ]


def test_a_fork_inside_a_labelled_branch_is_a_fork():
    seen = files(revision("a", labels=("one",)), revision("b", "a"), revision("c", "a"))
    assert len(found(CHECK, seen)) == 1
    assert "alembic merge b c" in why(CHECK, seen)


def test_blind_while_an_unread_file_may_join_them():
    seen = files(*FORK, broken=(broken("odd.py"),))
    with pytest.raises(NotObserved, match=r"odd\.py"):
        found(CHECK, seen)
    body = files(*FORK, broken=(broken("ccc3.py", id="ccc3"),))
    assert len(found(CHECK, body)) == 1


def test_the_merge_revision_is_a_new_file():
    remedy = cure(CHECK, files(*FORK, merge_draft=DRAFT, writable_files=True))
    assert isinstance(remedy, Remedy)
    assert remedy.steps == (EditFile(path=DRAFT.path, before=None, after=DRAFT.text),)
    assert remedy.hazards == ()


def test_left_to_a_person_without_a_draft_or_a_folder_to_write():
    seen = files(*FORK).without("merge_draft", NotApplicable("merge_draft", "--quick"))
    assert why(CHECK, seen) == (
        "write the merge revision by hand: alembic merge ccc3 ddd4 (--quick)"
    )
    shut = files(*FORK, merge_draft=DRAFT, writable_files=False)
    assert "revision = 'm5'" in why(CHECK, shut)


def test_stale_bytecode_is_not_to_be_merged():
    fork = revision("ddd4", "bbb2")
    phantom = type(fork)(
        **{f: getattr(fork, f) for f in fork.__slots__} | {"path": Path("versions/ddd4.pyc")}
    )
    assert not found(CHECK, files(*CHAIN, phantom))
