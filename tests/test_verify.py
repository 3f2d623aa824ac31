"""verify: cured, remaining and new, by all checks; what was hidden before is not new."""

from migdoctor.model import Diagnosis, Finding, Remedy, Severity
from migdoctor.verify import broken_promises, judge


def found(*codes: str, blind: tuple[str, ...] = (), idle: tuple[str, ...] = ()) -> Diagnosis:
    return Diagnosis(
        findings=tuple(Finding(code=c, subject="t", message="m") for c in codes),
        not_looked=tuple((c, "why") for c in blind),
        not_applicable=idle,
        severities={"MD506": Severity.INFO}
        | dict.fromkeys(("MD402", "MD404", "MD601"), Severity.ERROR),
    )


def cure(code: str, remains: str = "") -> Remedy:
    finding = Finding(code=code, subject="t", message="m")
    return Remedy(finding=finding, key="k", title="t", steps=(), remains=remains)


def test_a_kept_promise() -> None:
    verdict = judge(found("MD402", "MD404"), found("MD404"), [cure("MD402")])
    assert verdict.cured == (("MD402", "t"),)
    assert verdict.remaining == (("MD404", "t"),)
    assert broken_promises(verdict, [cure("MD402")]) == []


def test_a_broken_promise_and_a_new_sickness_are_told() -> None:
    verdict = judge(found("MD402"), found("MD402", "MD404"), [cure("MD402")])
    assert broken_promises(verdict, [cure("MD402")]) == [
        "MD402 on t is still there",
        "MD404 on t is new",
    ]


def test_what_a_check_could_not_see_before_is_unmasked_not_caused() -> None:
    for before in (found("MD402", blind=("MD601",)), found("MD402", idle=("MD601",))):
        assert judge(before, found("MD601"), [cure("MD402")]).new == ()


def test_worth_knowing_is_not_new() -> None:
    assert judge(found("MD402"), found("MD506"), [cure("MD402")]).new == ()


def test_a_cure_may_say_that_its_finding_remains() -> None:
    kept = cure("MD601", remains="until the models are changed")
    assert broken_promises(judge(found("MD601"), found("MD601"), [kept]), [kept]) == []
