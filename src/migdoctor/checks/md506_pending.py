"""MD506: revisions that this database has not had yet; worth knowing, no sickness (79)."""

from collections.abc import Iterator

from migdoctor.model import Check, Evidence, Finding, Observation, Severity, leave_to_human

SHOWN = 40


def pending(seen: Observation) -> tuple[str, ...]:
    """Ids between the recorded rows and the heads in upgrade order, () where that is unknown.

    Rows that no file knows have no place in the graph (MD404-MD406 speak), and a database with
    tables but without rows has an unknown one (MD401, MD407).
    """
    rows = seen.rows
    if any(row not in seen.history.by_id for row in rows):
        return ()
    leftovers = seen.quarantined or (seen.dialect == "sqlite" and seen.tmp_tables)
    if not rows and (seen.schema.tables or seen.schema.unreadable or leftovers):
        return ()
    return seen.history.path_to_heads(seen.stamped)


def find(seen: Observation) -> Iterator[Finding]:
    """Name the pending revisions."""
    ids = pending(seen)
    if not ids:
        return
    some = " -> ".join(ids) if len(ids) <= 4 else f"{ids[0]} -> {ids[1]} ... {ids[-1]}"
    many = "1 revision is" if len(ids) == 1 else f"{len(ids)} revisions are"
    head = "head" if len(seen.history.heads) == 1 else "heads"
    yield Finding(
        code="MD506",
        subject="target",
        message=f"{many} pending: {some}",
        help=f"When nothing worse is reported, run: alembic upgrade {head}",
        evidence=(Evidence(title="in upgrade order", text=listed(seen, ids)),),
    )


def listed(seen: Observation, ids: tuple[str, ...]) -> str:
    """One line for each pending revision: id, message, file."""
    lines = []
    for id in ids[:SHOWN]:
        revision = seen.history.by_id[id]
        lines.append(f"{id} {revision.message} ({revision.path.name})")
    if len(ids) > SHOWN:
        lines.append(f"... and {len(ids) - SHOWN} more")
    return "\n".join(lines)


CHECK = Check(
    code="MD506",
    name="pending",
    severity=Severity.INFO,
    find=find,
    remedy=leave_to_human("an upgrade is a deploy, not a repair: run it with alembic as usual"),
)
