"""diagnose and its exit status: found, could not look and does not apply are kept apart."""

from collections.abc import Iterator

import pytest

from migdoctor.diagnose import choose, diagnose, exit_code
from migdoctor.errors import NotApplicable, NotObserved
from migdoctor.model import Check, Finding, Observation, Severity, leave_to_human


def check(
    code: str,
    *,
    severity: Severity = Severity.ERROR,
    stops: int | None = None,
    dialects: tuple[str, ...] = (),
    sees: str = "rows",
) -> Check:
    def find(seen: Observation) -> Iterator[Finding]:
        yield Finding(code=code, subject="one", message="found")
        if sees == "identity" and seen.identity:
            yield Finding(code=code, subject="two", message="found")

    return Check(
        code=code,
        name="made-up",
        severity=severity,
        find=find,
        stops=stops,
        remedy=leave_to_human("test"),
        dialects=dialects,
    )


def seen(**facts: object) -> Observation:
    return Observation({}, dialect="sqlite", **facts)


def test_a_check_that_goes_blind_half_way_tells_no_half_truth() -> None:
    result = diagnose(seen(), [check("MD901", sees="identity")])
    assert result.findings == ()
    assert result.not_looked == (("MD901", "it was not looked at"),)


def test_blindness_and_not_applicable_keep_their_reasons() -> None:
    blind = seen().without("identity", NotObserved("identity", "locked"))
    assert diagnose(blind, [check("MD901", sees="identity")]).not_looked == (("MD901", "locked"),)
    nothing = seen().without("identity", NotApplicable("identity", "no server"))
    assert diagnose(nothing, [check("MD901", sees="identity")]).not_applicable == ("MD901",)


def test_a_check_for_another_engine_does_not_apply() -> None:
    result = diagnose(seen(), [check("MD901", dialects=("postgresql",))])
    assert (result.findings, result.not_applicable) == ((), ("MD901",))


@pytest.mark.parametrize(
    ("checks", "fail_on", "status"),
    [
        ([], Severity.WARNING, 0),
        ([check("MD901", severity=Severity.INFO)], Severity.WARNING, 0),
        ([check("MD901", severity=Severity.INFO)], Severity.INFO, 1),
        ([check("MD901", severity=Severity.WARNING)], Severity.WARNING, 1),
        ([check("MD901", severity=Severity.WARNING)], Severity.ERROR, 0),
        ([check("MD901", sees="identity")], Severity.WARNING, 3),
        ([check("MD901", stops=3)], Severity.WARNING, 3),
        ([check("MD901", stops=2)], Severity.WARNING, 2),
        ([check("MD901", stops=3), check("MD902")], Severity.WARNING, 1),
        ([check("MD901"), check("MD902", sees="identity")], Severity.WARNING, 1),
    ],
)
def test_exit_status(checks: list[Check], fail_on: Severity, status: int) -> None:
    assert exit_code(diagnose(seen(), checks), checks, fail_on) == status


def test_choosing_by_code_and_by_prefix() -> None:
    checks = [check("MD401"), check("MD402"), check("MD501")]
    assert [c.code for c in choose(checks, ["MD4"], [])] == ["MD401", "MD402"]
    assert [c.code for c in choose(checks, [], ["MD402"])] == ["MD401", "MD501"]
    assert [c.code for c in choose(checks, ["MD4"], ["MD401"])] == ["MD402"]


def test_an_observation_tells_a_misspelt_fact_from_one_that_was_not_seen() -> None:
    with pytest.raises(NotObserved):
        _ = seen().schema
    with pytest.raises(AttributeError):
        _ = seen().shema  # type: ignore[attr-defined]  # the misspelling is the test
