"""MD602: the models against the last revision, where the database is exactly there."""

import pytest

from migdoctor.checks.md601_drift_from_history import CHECK as DRIFT
from migdoctor.checks.md602_models_ahead_of_history import CHECK
from migdoctor.errors import NotApplicable, NotObserved
from migdoctor.facts import Draft, Drift, ModelDiff
from migdoctor.graph import History
from migdoctor.model import NeedsHuman
from tests.checks.placed import cures, fact, only, placed
from tests.facts import CHAIN, healthy, revision

PHONE = Drift(op="add_column", subject="users.phone", text="the models have users.phone")
AHEAD = ModelDiff(drifts=(PHONE,))


def test_silent_when_models_and_history_agree():
    assert not list(CHECK.find(placed("ccc3", models=ModelDiff())))


@pytest.mark.parametrize(("row", "at"), [("bbb2", "bbb2"), ("ccc3", "aaa1"), ("aaa1", "ccc3")])
def test_does_not_apply_below_head(row: str, at: str):
    with pytest.raises(NotApplicable):
        list(CHECK.find(placed(row, at=at, models=AHEAD)))


def test_does_not_apply_where_the_database_itself_has_drifted():
    with pytest.raises(NotApplicable):
        list(CHECK.find(placed("ccc3", models=AHEAD, extra={fact("users", "column", "z"): "x"})))


def test_blind_without_a_position_or_models():
    with pytest.raises(NotApplicable):
        list(CHECK.find(healthy()))
    seen = placed("ccc3").without("models", NotObserved("models", "env.py fails"))
    with pytest.raises(NotObserved):
        list(CHECK.find(seen))


def test_names_what_the_models_want_and_one_cause_once():
    seen = placed("ccc3", models=AHEAD)
    finding = only(CHECK, seen)
    assert "in 1 place" in finding.message
    assert finding.evidence[0].text == PHONE.text
    assert "autogenerate" in finding.help
    (cure,) = cures(CHECK, seen)
    assert isinstance(cure, NeedsHuman)
    assert not list(DRIFT.find(seen))


def test_never_advises_to_drop_what_the_last_revision_makes():
    behind = Drift(op="remove_table", subject="notes", text="the models lack notes")
    assert (
        "autogenerate" not in only(CHECK, placed("ccc3", models=ModelDiff(drifts=(behind,)))).help
    )


def test_names_the_revision_that_was_adopted():
    draft = Draft(id="ddd4", path=CHAIN.revisions[0].path, text='"""record it\n"""')
    adopted = History(
        revisions=(*CHAIN.revisions[:2], revision("ccc3", "bbb2", message="record it"))
    )
    seen = placed("ccc3", history=adopted, models=ModelDiff(drifts=(PHONE,), adopt=draft))
    assert "as revision ccc3 shows" in only(CHECK, seen).help
