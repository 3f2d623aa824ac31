"""MD206: several ends are by design where something tells them apart."""

from pathlib import Path
from typing import Any

import pytest

from migdoctor.checks.md206_multiple_heads import CHECK
from migdoctor.errors import NotApplicable, NotObserved
from migdoctor.facts import Draft
from migdoctor.graph import History
from migdoctor.model import EditFile, Hazard, NeedsHuman, Observation, Remedy
from migdoctor.timeline import Recorded, Timeline
from tests.checks.graphs import (
    CHAIN,
    broken,
    changed,
    cure,
    cures,
    files,
    found,
    revision,
    why,
    written,
)
from tests.checks.placed import add_column, create, placed, timeline

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


COMMON = {id: (create(id, "x"),) for id in ("aaa1", "bbb2")}
LEFT, RIGHT = (create("left", "x"),), (create("right", "x"),)


def both(left: Recorded, right: Recorded) -> tuple[Timeline, Timeline]:
    """Both orders of two branches that do the same whatever came before."""
    one = timeline(COMMON | {"ccc3": (left,), "ddd4": (right,)})
    return one, timeline(COMMON | {"ddd4": (right,), "ccc3": (left,)})


def forked(orders: object = None, **more: Any) -> Observation:
    facts: dict[str, Any] = {"merge_draft": DRAFT, "rows": ("bbb2",)}
    if orders:
        facts["orders"] = orders
    return written(*FORK, **(facts | more))


def test_a_merge_is_proposed_where_the_branches_commute():
    seen = forked(both(LEFT[0], RIGHT[0]))
    remedy = cures(CHECK, seen)[0]
    assert isinstance(remedy, Remedy)
    assert remedy.default
    assert remedy.steps == (EditFile(path=DRAFT.path, before=None, after=DRAFT.text),)
    assert remedy.hazards == ()
    text = found(CHECK, seen)[0].evidence[1].text
    assert text.splitlines() == [
        "the two orders end in the same schema: the branches commute",
        "they touch different objects",
    ]


def test_left_to_a_person_where_the_two_orders_end_differently():
    seen = forked(both(add_column("users", "n", "INTEGER"), add_column("users", "n", "TEXT")))
    human, merge = cures(CHECK, seen)
    assert isinstance(human, NeedsHuman)
    assert isinstance(merge, Remedy)
    assert not merge.default
    assert "column users.n: TEXT after ccc3, ddd4; INTEGER after ddd4, ccc3" in human.why
    assert "both touch users" in found(CHECK, seen)[0].evidence[1].text


def test_no_merge_at_all_where_one_order_fails():
    whole = both(LEFT[0], RIGHT[0])[0]
    short = timeline(COMMON | {"ddd4": RIGHT}, failed=("ccc3", "no such column: nickname"))
    at = {"position": placed("bbb2", at="bbb2", recorded=whole, history=History(revisions=FORK))}
    seen = forked((whole, short), position=at["position"].position)
    _human, reparent = cures(CHECK, seen)
    assert "only one order works; ccc3 after ddd4 fails: no such column" in why(CHECK, seen)
    assert isinstance(reparent, Remedy)
    assert (reparent.key, reparent.default) == ("reparent", False)
    assert changed(reparent) == {"ddd4": ["down_revision = 'ccc3'"]}
    assert reparent.hazards == (Hazard.REWRITES_HISTORY,)


def test_an_applied_revision_never_gets_another_parent():
    whole = both(LEFT[0], RIGHT[0])
    placed_at = {
        row: placed(row, at=row, recorded=whole[0], history=History(revisions=FORK)).position
        for row in ("ccc3", "ddd4")
    }

    def moved(*rows: str, at: str) -> list[str]:
        seen = forked(whole, rows=rows, position=placed_at[at])
        return [k for c in cures(CHECK, seen)[1:] if isinstance(c, Remedy) for k in changed(c)]

    assert moved("ccc3", at="ccc3") == ["ddd4"]
    assert moved("ddd4", at="ddd4") == ["ccc3"]
    assert moved("ccc3", at="ddd4") == []  # recorded or there: either is applied
    assert moved("ccc3", "ddd4", at="ccc3") == []


def test_rows_that_the_other_branch_touches_are_no_proof():
    changes = Recorded(sql="UPDATE users SET nickname = lower(nickname)", data=True)
    orders = both(changes, add_column("users", "n"))
    assert "rows of users" in why(CHECK, forked(orders))
    apart = both(Recorded(sql="UPDATE orders SET total = 0", data=True), add_column("users", "n"))
    assert isinstance(cure(CHECK, forked(apart)), Remedy)


def test_not_a_default_where_nothing_could_be_tried_out():
    human, merge = cures(CHECK, forked().without("orders", NotObserved("orders", "no shadow")))
    assert isinstance(human, NeedsHuman)
    assert "no shadow" in human.why
    assert isinstance(merge, Remedy)
    assert not merge.default
    early = timeline({}, failed=("aaa1", "no such extension"))
    assert "cannot be replayed: aaa1" in why(CHECK, forked((early, early)))


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


def test_heads_of_several_beginnings_wait_for_those():
    assert "MD207" in why(CHECK, files(*CHAIN, revision("stray"), rows=("ccc3",)))
