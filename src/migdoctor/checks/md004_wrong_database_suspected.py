"""MD004: this database is empty while the configuration also names another one (incident 77).

An empty database alone is a fresh one and no sickness: only a second address is evidence.
"""

from collections.abc import Iterator

from migdoctor.model import Check, Evidence, Finding, Observation, Severity, leave_to_human


def empty(seen: Observation) -> bool:
    """No user table, no recorded revision, no leftover; what is unreadable may be a table."""
    if seen.schema.tables or seen.schema.unreadable or seen.quarantined:
        return False
    if any(table.rows or table.unread for table in seen.version_tables):
        return False
    return not (seen.dialect == "sqlite" and seen.tmp_tables)


def find(seen: Observation) -> Iterator[Finding]:
    """Speak when nothing is here and another configured address differs from this one."""
    others = seen.address_differences
    if not others or not empty(seen):
        return
    yield Finding(
        code="MD004",
        subject="target",
        message="this database is empty, and the project also names another one: an upgrade "
        "here would build a second copy of the schema beside the real one",
        help="Compare the addresses; to look at the other one pass it with --url.",
        certainty="likely",
        evidence=(
            Evidence(title="other addresses", text="\n".join(f"{w}: {u}" for w, u in others)),
            Evidence(title="in this one", text="no user table, no recorded revision"),
        ),
    )


CHECK = Check(
    code="MD004",
    name="wrong-database-suspected",
    severity=Severity.ERROR,
    find=find,
    remedy=leave_to_human(
        "only you know which database is meant: correct the address or the folder, or upgrade "
        "this one if a new, empty database is what you want; stamp nothing"
    ),
)
