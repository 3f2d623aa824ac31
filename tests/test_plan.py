"""plan: the choice among cures, what waits, consent to hazards, and plans as files."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from migdoctor.diagnose import diagnose
from migdoctor.errors import NotObserved, UsageError
from migdoctor.model import (
    Check,
    Cure,
    EditFile,
    Finding,
    Guard,
    Hazard,
    MoveFile,
    NeedsHuman,
    Observation,
    Remedy,
    Severity,
    Sql,
    Stamp,
)
from migdoctor.plan import Plan, load, make_plan, parse_only, save


def sick(
    code: str,
    *cures: str,
    hazards: tuple[Hazard, ...] = (),
    touches: str = "table t",
    default: bool = True,
    blind: bool = False,
) -> Check:
    """A check that always finds one thing and offers a Remedy per key in `cures`."""

    def find(_seen: Observation) -> Iterator[Finding]:
        yield Finding(code=code, subject="t", message="sick")

    def remedy(finding: Finding, seen: Observation) -> tuple[Cure, ...]:
        if blind:
            _ = seen.identity
        made = tuple(
            Remedy(
                finding=finding,
                key=key,
                title=key,
                default=default and not number,
                steps=(Sql(run=f"{code} {key}", undo=(), touches=touches, hazards=hazards),),
            )
            for number, key in enumerate(cures)
        )
        return made or (NeedsHuman(finding=finding, why="only you know"),)

    return Check(code=code, name="made-up", severity=Severity.ERROR, find=find, remedy=remedy)


def planned(
    *checks: Check,
    only: tuple[str, ...] = (),
    allow: frozenset[Hazard] | None = None,
) -> Plan:
    seen = Observation({})
    return make_plan(diagnose(seen, checks), seen, checks, parse_only(only, checks), allow)


def run(plan: Plan) -> list[str]:
    return [step.run for step in plan.steps if isinstance(step, Sql)]


def test_the_default_cure_is_taken_in_order_of_codes() -> None:
    plan = planned(sick("MD901", "a", "b", touches="x"), sick("MD902", "c", touches="y"))
    assert run(plan) == ["MD901 a", "MD902 c"]


def test_what_touches_the_same_thing_waits_for_the_next_round() -> None:
    plan = planned(sick("MD901", "a"), sick("MD902", "b"), sick("MD903", "c", touches="other"))
    assert run(plan) == ["MD901 a", "MD903 c"]


def test_only_restricts_and_a_key_picks_another_cure() -> None:
    checks = sick("MD901", "a", "b"), sick("MD902", "c", touches="y")
    assert run(planned(*checks, only=("MD902",))) == ["MD902 c"]
    assert run(planned(*checks, only=("MD901:b",))) == ["MD901 b"]
    assert run(planned(*checks, only=("MD9",))) == ["MD901 a", "MD902 c"]
    for word in ("MD901:nothing", "MD999", "drop everything"):
        with pytest.raises(UsageError):
            planned(*checks, only=(word,))


def test_a_finding_without_a_default_waits_for_a_choice() -> None:
    plan = planned(sick("MD901", "restore", "adopt", default=False))
    assert plan.remedies == ()
    assert plan.treatments[0].needs_human == "choose: --only MD901:restore or --only MD901:adopt"


def test_a_hazard_is_shown_in_a_dry_run_and_needs_consent_otherwise() -> None:
    check = sick("MD901", "a", hazards=(Hazard.DELETES_DATA,))
    assert run(planned(check)) == ["MD901 a"]
    assert planned(check).hazards == (Hazard.DELETES_DATA,)
    refused = planned(check, allow=frozenset())
    assert (refused.remedies, refused.treatments[0].needs_human) == (
        (),
        "needs --allow DELETES_DATA",
    )
    assert run(planned(check, allow=frozenset({Hazard.DELETES_DATA}))) == ["MD901 a"]


def test_a_cure_that_cannot_be_worked_out_is_left_to_a_human() -> None:
    plan = planned(sick("MD901", "a", blind=True))
    assert "it was not looked at" in plan.treatments[0].needs_human


def test_a_plan_survives_a_file_and_an_edited_one_is_refused(tmp_path: Path) -> None:
    finding = Finding(code="MD901", subject="t", message="sick")
    steps = (
        Sql(
            run="DROP TABLE x",
            undo=("CREATE TABLE x (a INT)",),
            touches="table x",
            rows=0,
            hazards=(Hazard.DROPS_OBJECT,),
            guard=Guard(query="SELECT 1", answer=1, because="b"),
        ),
        Stamp(table=("public", "v"), before=("a", None), after=("b",)),
        EditFile(path=tmp_path / "a.py", before=None, after="é\r\n"),
        MoveFile(path=tmp_path / "b", to=tmp_path / "c", sha256="00"),
    )
    remedy = Remedy(finding=finding, key="k", title="t", steps=steps)
    plan = Plan(treatments=(), remedies=(remedy,), not_looked=(), durable={"schema": "1"})
    path = tmp_path / "plan.json"
    save(plan, path)
    assert load(path).steps == steps
    assert load(path).id == plan.id
    data = json.loads(path.read_text())
    data["remedies"][0]["steps"][0]["run"] = "DROP TABLE y"
    path.write_text(json.dumps(data))
    with pytest.raises(UsageError, match="changed after it was written"):
        load(path)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"migdoctor_plan": 2}', "\x00\xff"])
def test_a_file_that_is_no_plan_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(UsageError):
        load(path)
    with pytest.raises(UsageError):
        load(tmp_path / "missing.json")


def test_an_id_depends_on_what_the_plan_was_made_for() -> None:
    one = Plan(treatments=(), remedies=(), not_looked=(), durable={"schema": "1"})
    two = Plan(treatments=(), remedies=(), not_looked=(), durable={"schema": "2"})
    assert one.id != two.id


def test_a_missing_durable_fact_is_part_of_the_fingerprint() -> None:
    blind = Observation({"schema": NotObserved("schema", "locked")})
    assert blind.durable()["schema"] == "missing: schema"
