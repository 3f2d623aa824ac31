"""MD404: a version row names a revision that no file has (incidents 1, 3, 4, 5)."""

import difflib
from collections.abc import Iterator

from migdoctor import rows
from migdoctor.cures import files, place, standing
from migdoctor.model import Check, Cure, Evidence, Finding, NeedsHuman, Observation, Severity


def unknown(seen: Observation) -> tuple[str, ...]:
    """Each unknown row once, without those that show the database to be newer (MD410)."""
    values = [row.value for row in rows.rows(seen) if row.kind == "unknown" and row.value]
    if values and standing.beyond_heads(seen):
        return ()
    return tuple(v for v in dict.fromkeys(values) if not rows.newer(v, seen))


def find(seen: Observation) -> Iterator[Finding]:
    """One finding for the table, with what is known about each id."""
    table = seen.version_table
    values = unknown(seen) if table else ()
    if table is None or not values:
        return
    sure = seen.history.trustworthy
    doubt = "" if sure else "; some revision file could not be read and may be the one"
    yield Finding(
        code="MD404",
        subject=table.label,
        message=f"{table.label} holds {rows.listed(values)}, and no revision file has that id: "
        f'every alembic command stops with "Can\'t locate revision"{doubt}',
        help=_help(values, seen),
        certainty="certain" if sure else "likely",
        evidence=(
            rows.as_stored(table),
            *(Evidence(title=f"about {rows.show(v)}", text=_about(v, seen)) for v in values),
            *((standing.how_known(seen),) if seen.has("position") else ()),
        ),
    )


def remedy(finding: Finding, seen: Observation) -> tuple[Cure, ...]:
    """The file first, where it was seen; then one in its place; then the located revision.

    What git could not be asked about is not lost: then nothing is put in its place unasked.
    """
    table, human = seen.version_table, _to_decide(finding, seen)
    values = unknown(seen)
    back = files.restored(finding, seen, values)
    if table is None or not seen.has("position") or not seen.history.trustworthy:
        return (back or human,)
    known = any(v in rows.sightings(seen) for v in values)
    foreign = standing.foreign(seen, seen.position.state)
    sure = not known and not foreign
    searched = "sightings" not in seen.missing
    bridge = place.bridge(finding, seen, values, default=sure and searched)
    cures = place.record(
        finding,
        seen,
        table=(table.schema, table.name),
        before=table.rows,
        default=sure and not (bridge and bridge.default),
    )
    if bridge:
        cures = (bridge, *(cure for cure in cures if not isinstance(cure, NeedsHuman)))
    if sure:
        return cures
    if known:
        first: Cure = back or human
    else:
        why = (
            f"{standing.lines(foreign[:3])}; that may be the work of the lost revision, or of "
            "another application whose row this is"
        )
        first = NeedsHuman(finding=finding, why=why)
    return (first, *(cure for cure in cures if not isinstance(cure, NeedsHuman)))


def _to_decide(finding: Finding, seen: Observation) -> NeedsHuman:
    """What to decide, and where the file was seen."""
    seen_at = [s for v in unknown(seen) if (s := rows.sightings(seen).get(v))]
    if not seen_at:
        why = (
            "only a person can say what that revision did: find its file or the release that "
            "had it, and bring the file back"
        )
    else:
        places = "; ".join(f"{s.id} from {files.told(s)}" for s in seen_at)
        lost = sorted({id for s in seen_at for id in s.missing})
        also = f" (its ancestors {', '.join(lost)} were not seen)" if lost else ""
        why = f"bring back the file of {places}{also}, after reading what it does"
    return NeedsHuman(finding=finding, why=f"{why}; never stamp head to get rid of the message")


def _help(values: tuple[str, ...], seen: Observation) -> str:
    if not seen.history.trustworthy:
        return "Mend the unreadable revision files first, then look again."
    if any(v in rows.sightings(seen) for v in values):
        return "Bring the missing revision file back; change nothing in the database."
    if seen.has("position") and place.place(seen).located:
        return "If the file is lost for good, put one in its place that does nothing."
    return "Find the revision file: other branches, the last release, a colleague's checkout."


def _about(value: str, seen: Observation) -> str:
    """Where the id was seen and which ids of this project look like it, a line each."""
    sighting, ids = rows.sightings(seen).get(value), list(seen.history.by_id)
    lines = [f"{len(value)} characters; not among the {len(ids)} revisions of the project"]
    if "sightings" in seen.missing:
        lines.append(f"not searched elsewhere: {seen.missing['sightings'].why}")
    elif sighting is None:
        lines.append("not seen in git (any branch, tag, stash, reflog), packages or bytecode")
    else:
        lines.append(f"seen in {sighting.source}: {files.told(sighting)}")
        if sighting.leads_to:
            lines.append(f"it follows {' <- '.join(reversed(sighting.leads_to))}")
    begin = [id for id in ids if id.startswith(value)]
    near = dict.fromkeys(begin + difflib.get_close_matches(value.strip(), ids, n=3))
    if near:
        lines.append(f"ids that look like it: {', '.join(list(near)[:5])}")
    return "\n".join(lines)


CHECK = Check(
    code="MD404", name="unknown-revision", severity=Severity.ERROR, find=find, remedy=remedy
)
