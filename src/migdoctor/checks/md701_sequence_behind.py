"""MD701: a sequence is behind the column that it feeds: inserts will collide (incident 69)."""

from collections.abc import Iterator

from migdoctor.errors import NotObserved
from migdoctor.facts import Sequence
from migdoctor.model import (
    Check,
    Evidence,
    Finding,
    Observation,
    Remedy,
    Severity,
    Sql,
    literal,
    quoted,
)

SHOWN = 3


def behind(seen: Observation) -> dict[str, Sequence]:
    """Sequences whose next value is taken already, by subject."""
    return {
        f"{s.schema}.{s.name}": s
        for s in seen.sequences
        if s.highest is not None and s.highest >= s.upcoming
    }


def find(seen: Observation) -> Iterator[Finding]:
    """Certain: both numbers were read; blind where none is behind and some could not be read."""
    blind = [f"{s.schema}.{s.name}: {s.why_not}" for s in seen.sequences if s.why_not]
    if blind and not behind(seen):
        rest = f"; and {len(blind) - SHOWN} more" if len(blind) > SHOWN else ""
        raise NotObserved("sequences", "; ".join(blind[:SHOWN]) + rest)
    for subject, one in behind(seen).items():
        yield Finding(
            code="MD701",
            subject=subject,
            message=f"sequence {subject} gives {one.upcoming} next, and {one.table}.{one.column} "
            f"reaches {one.highest}: inserts fail with 'duplicate key value' until it has passed",
            help="Rows came in with numbers of their own: a restore, a copy, a seed. Let those "
            "set the sequence as well.",
            evidence=(
                Evidence(
                    title="to ask again",
                    text=f"SELECT last_value, is_called FROM {quoted(one.schema, one.name)};\n"
                    f"SELECT max({quoted(one.column)}) FROM {_table(one)};",
                ),
            ),
        )


def _table(one: Sequence) -> str:
    schema, _, name = one.table.partition(".")
    return quoted(schema, name)


def remedy(finding: Finding, seen: Observation) -> Remedy:
    """Upwards only, and while nobody can insert; a gap in the numbers harms nobody."""
    one = behind(seen)[finding.subject]
    name = quoted(one.schema, one.name)
    touches = f"sequence {finding.subject}"
    return Remedy(
        finding=finding,
        key="setval",
        title=f"move {finding.subject} behind the highest number",
        steps=(
            Sql(
                run=f"LOCK TABLE {_table(one)} IN SHARE ROW EXCLUSIVE MODE",
                undo=(),
                touches=touches,
            ),
            Sql(
                run=f"SELECT setval({literal(name)}, m.highest, true) FROM {name} s, "
                f"(SELECT max({quoted(one.column)}) AS highest FROM {_table(one)}) m "
                "WHERE m.highest > s.last_value OR m.highest = s.last_value AND NOT s.is_called",
                undo=(),
                touches=touches,
            ),
        ),
    )


CHECK = Check(
    code="MD701",
    name="sequence-behind",
    severity=Severity.ERROR,
    find=find,
    remedy=remedy,
    dialects=("postgresql",),
)
