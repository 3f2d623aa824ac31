"""MD705: the tables of one schema belong to several roles (incident 70)."""

from collections.abc import Iterator

from migdoctor.model import (
    Check,
    Evidence,
    Finding,
    NeedsHuman,
    Observation,
    Severity,
    quoted,
)

Owned = tuple[str, int, tuple[str, ...]]  # role, number of tables, their names (some of them)


def mixed(seen: Observation) -> dict[str, list[Owned]]:
    """Schemas of the history with several owners, most tables first, by subject.

    A schema in which no version table and no table of the history stands is somebody else's.
    """
    homes = {table.schema for table in seen.version_tables if table.configured}
    if seen.has("timeline"):
        homes |= {key.schema for key in seen.timeline.touched}
    found: dict[str, list[Owned]] = {}
    for schema, owner, number, names in seen.health.owners:
        if schema in homes:
            found.setdefault(f"schema {schema}", []).append((owner, number, names))
    return {k: sorted(v, key=lambda o: (-o[1], o[0])) for k, v in found.items()}


def find(seen: Observation) -> Iterator[Finding]:
    """Speak where a role that owns some tables cannot alter the others."""
    for subject, owners in mixed(seen).items():
        lines = [
            f"{role}: {number} ({', '.join(names[:5])}{', ...' * (number > 5)})"
            for role, number, names in owners
        ]
        yield Finding(
            code="MD705",
            subject=subject,
            message=f"the tables of {subject} belong to {len(owners)} roles: a revision that "
            "alters one of the other role stops with 'must be owner of table'",
            help="Let one role run all migrations, and give it all tables.",
            evidence=(
                Evidence(title="who owns what", text="\n".join(lines)),
                Evidence(title="what a DBA would run", text="\n".join(statements(subject, owners))),
            ),
        )


def statements(subject: str, owners: list[Owned]) -> list[str]:
    """ALTER statements that give every table to the role that owns most."""
    schema = subject.removeprefix("schema ")
    chief = owners[0][0]
    return [
        f"ALTER TABLE {quoted(schema, name)} OWNER TO {quoted(chief)}"
        for _, _, names in owners[1:]
        for name in names
    ]


def remedy(finding: Finding, seen: Observation) -> NeedsHuman:
    """Who should own them is no fact; only a superuser or a member of both may change it."""
    chief = mixed(seen)[finding.subject][0][0]
    return NeedsHuman(
        finding=finding,
        why=f"a DBA decides whose they are (most belong to {chief}); no REASSIGN OWNED, it moves "
        "far more than these tables",
    )


CHECK = Check(
    code="MD705",
    name="owner-drift",
    severity=Severity.WARNING,
    find=find,
    remedy=remedy,
    dialects=("postgresql",),
)
