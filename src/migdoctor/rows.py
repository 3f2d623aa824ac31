"""What each stored version row is: known, damaged but recognisable, or unknown. Pure.

Every row has exactly one kind, so that the checks of the version table never overlap: a row that
can be recognised (MD405, MD406) is not an unknown one (MD404, MD410).
"""

from dataclasses import dataclass
from typing import Literal

from migdoctor.facts import Sighting, VersionTable
from migdoctor.graph import History
from migdoctor.model import Evidence, Observation, Sql, Stamp, quoted

Kind = Literal["known", "blank", "malformed", "truncated", "unknown"]
ROOMY = 64  # width that a version column is given: twice alembic's own (incident 12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One stored row. `id` is the revision it names or was meant to name, None when unclear."""

    value: str | None
    kind: Kind
    id: str | None


def classify(value: str | None, history: History) -> Row:
    """What one stored value is, from the ids of the revision files alone.

    malformed: exactly one id is equal to it but for case and white space at the ends (incident
    11). truncated: exactly one id begins with it (incident 9).
    """
    if value is None or not value.strip():
        return Row(value=value, kind="blank", id=None)
    if value in history.by_id:
        return Row(value=value, kind="known", id=value)
    meant = value.strip().lower()
    same = [id for id in history.by_id if id.lower() == meant]
    if len(same) == 1:
        return Row(value=value, kind="malformed", id=same[0])
    longer = [id for id in history.by_id if id.startswith(value)]
    if not same and len(longer) == 1:
        return Row(value=value, kind="truncated", id=longer[0])
    return Row(value=value, kind="unknown", id=None)


def rows(seen: Observation) -> tuple[Row, ...]:
    """The rows of the configured version table in stored order, repetitions included."""
    return tuple(classify(value, seen.history) for value in seen.rows)


def mended(all_rows: tuple[Row, ...], kinds: tuple[Kind, ...]) -> tuple[str | None, ...]:
    """The rows after the ids that were meant took the place of the rows of some kinds.

    Other rows stay as they are, repetitions too; a row that names nothing goes, and no id is
    added that is there already (the table has a primary key, as a rule).
    """
    kept = [row.value for row in all_rows if row.kind not in kinds]
    meant = [row.id for row in all_rows if row.kind in kinds and row.id and row.id not in kept]
    return (*kept, *dict.fromkeys(meant))


def newer(value: str, seen: Observation) -> Sighting | None:
    """The sighting that shows an unknown id on a line that goes beyond a local head, if any."""
    sighting = sightings(seen).get(value)
    if sighting and sighting.leads_to and sighting.leads_to[-1] in seen.history.heads:
        return sighting
    return None


def sightings(seen: Observation) -> dict[str, Sighting]:
    """Where unknown ids were seen; {} when nothing could be searched.

    An unknown row is unknown whether or not the search for its file was possible.
    """
    return {} if "sightings" in seen.missing else dict(seen.sightings)


# --- text ---------------------------------------------------------------------------------------


def show(value: str | None) -> str:
    """A stored value for people: blanks and line ends visible."""
    return "NULL" if value is None else repr(value)


def listed(values: tuple[str | None, ...]) -> str:
    """Some stored values as `'a', 'b' and NULL`."""
    shown = [show(value) for value in values]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def as_stored(table: VersionTable) -> Evidence:
    """The query that reads the version table and its answer, exactly."""
    lines = [f"{show(v)} ({len(v)} characters)" if v is not None else "NULL" for v in table.rows]
    return Evidence(
        title=f"SELECT version_num FROM {quoted(table.schema, table.name)}",
        text="\n".join(lines) or "(no rows)",
    )


# --- steps --------------------------------------------------------------------------------------


def touches(table: VersionTable) -> str:
    """The name under which every step on this version table goes, as in `Stamp.touches`."""
    return f"version table {table.schema}.{table.name}"


def restamp(table: VersionTable, after: tuple[str | None, ...]) -> Stamp:
    """All rows of `table` replaced by `after`."""
    return Stamp(table=(table.schema, table.name), before=table.rows, after=after)


def longest_id(history: History) -> int:
    """The length of the longest revision id of the project, 0 without revisions."""
    return max(map(len, history.by_id), default=0)


def widening(table: VersionTable, history: History) -> Sql | None:
    """The statement that makes room for the longest id (PostgreSQL); None where there is room.

    A longer VARCHAR is a change of the catalogue only: no rewrite, no scan (PostgreSQL manual,
    ALTER TABLE, Notes).
    """
    needed = longest_id(history)
    if table.width is None or table.width >= needed:
        return None
    alter = f"ALTER TABLE {quoted(table.schema, table.name)} ALTER COLUMN version_num TYPE VARCHAR"
    return Sql(
        run=f"{alter}({max(ROOMY, needed)})",
        undo=(f"{alter}({table.width})",),
        touches=touches(table),
    )
