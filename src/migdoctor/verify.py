"""verify: all checks look again, and only they may say "cured"."""

from collections.abc import Sequence

from migdoctor.diagnose import RANK
from migdoctor.model import Diagnosis, Remedy, Severity
from migdoctor.plan import Verdict

Subject = tuple[str, str]


def judge(before: Diagnosis, after: Diagnosis, remedies: Sequence[Remedy]) -> Verdict:
    """Compare two diagnoses by (code, subject).

    `remaining` is everything still found. A finding is `new` only when its check had looked
    before and had not found it, and when it is more than worth knowing: what a check could not see
    before was unmasked by the cure, not caused.
    """
    was = {(f.code, f.subject) for f in before.findings}
    now = {(f.code, f.subject): after.severity(f) for f in after.findings}
    promised = {(r.finding.code, r.finding.subject) for r in remedies}
    could_not_see = {code for code, _ in before.not_looked} | set(before.not_applicable)
    return Verdict(
        cured=tuple(sorted((was | promised) - now.keys())),
        remaining=tuple(sorted(key for key in now if key in was | promised)),
        new=tuple(
            sorted(
                key
                for key, severity in now.items()
                if key not in was | promised
                and key[0] not in could_not_see
                and RANK[severity] > RANK[Severity.INFO]
            )
        ),
    )


def broken_promises(verdict: Verdict, remedies: Sequence[Remedy]) -> list[str]:
    """What a cure promised and did not keep, and what it brought; empty when all is well."""
    promised = {(r.finding.code, r.finding.subject) for r in remedies if not r.remains}
    return [
        *(
            f"{code} on {subject} is still there"
            for code, subject in sorted(promised)
            if (code, subject) in verdict.remaining
        ),
        *(f"{code} on {subject} is new" for code, subject in verdict.new),
    ]
