"""Cures in revision files: lost ones brought back, identifiers corrected in place. Pure.

Every edit is parsed again and must have changed the one identifier that was meant, and nothing
else; what cannot be edited like that is left to a person.
"""

import ast
import hashlib
import re
from collections.abc import Collection, Mapping, Sequence

from migdoctor import rows
from migdoctor.facts import Sighting, Version
from migdoctor.graph import History, Revision
from migdoctor.model import Cure, EditFile, Finding, NeedsHuman, Observation, Remedy

ILLEGAL = "@-+:"  # alembic.script.revision._revision_illegal_chars
PASS_THROUGH = '''"""pass-through for {id}, whose file is lost

Revision ID: {id}
Revises: {after}

Written by migdoctor. A database says that it is at {id}, and the file of that revision was found
nowhere. What it did there is not known: this file does nothing, and only lets alembic go on.
"""

revision = {id!r}
down_revision = {after!r}
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
'''
HEADER = {"revision": rb"Revision ID", "down_revision": rb"Revises"}
FIELDS = ("revision", "down_revision", "branch_labels", "depends_on")
SYNTAX = (SyntaxError, ValueError, RecursionError, MemoryError)

Value = str | tuple[str, ...] | None


# --- lost files ---------------------------------------------------------------------------------


def restored(finding: Finding, seen: Observation, ids: Collection[str]) -> Cure | None:
    """The files of `ids`, and of lost ancestors, from where they were seen.

    None where the whole of them was not seen, or would close a loop; NeedsHuman where a file may
    not be written.
    """
    known = rows.sightings(seen)
    sightings = [known[id] for id in ids if id in known and known[id].whole]
    if not sightings or len(sightings) < len(ids):
        return None
    needing = {r.id for r in seen.history.revisions if {*ids} & {*r.down, *r.depends_on}}
    if any(seen.history.closure(s.leads_to) & needing for s in sightings):
        return None  # a version of it that comes after what is to come after it
    lost = {file.id: file for sighting in sightings for file in sighting.files}
    source = "; ".join(f"{s.id} from {told(s)}" for s in sightings)
    here = {r.path for r in seen.history.revisions} | {b.path for b in seen.history.broken}
    for file in lost.values():
        if file.to in here:
            why = f"bring back {source}: {file.to.name} is there with other content; compare them"
            return NeedsHuman(finding=finding, why=why)
    if not seen.writable_files:
        names = "; ".join(f"{file.to}:\n{file.text}" for file in lost.values())
        why = f"bring back {source}; this folder may not be written, so put it there: {names}"
        return NeedsHuman(finding=finding, why=why)
    return Remedy(
        finding=finding,
        key="restore",
        title=f"bring back the file of {source}",
        steps=tuple(EditFile(path=f.to, before=None, after=f.text) for f in lost.values()),
    )


def told(sighting: Sighting) -> str:
    """Where a file was seen, for people."""
    when = f", {sighting.when}" if sighting.when else ""
    return f"{sighting.where}{when} ({sighting.path})"


def pass_through(
    finding: Finding, seen: Observation, id: str, after: str, default: bool
) -> Remedy | None:
    """A revision that does nothing, with the lost id, on top of `after`.

    Revisions that come after that place, and that this database does not have, come after it from
    now on: databases that have them already never look back. None where it cannot be written.
    """
    path = seen.locations[0] / f"{re.sub(r'[^A-Za-z0-9]+', '_', id)}_pass_through.py"
    taken = {r.path for r in seen.history.revisions}
    if not seen.writable_files or set(ILLEGAL) & set(id) or path in taken or not id.isprintable():
        return None
    text = PASS_THROUGH.format(id=id, after=after)
    steps, title = [EditFile(path=path, before=None, after=text)], f"after {after}"
    for child in seen.history.children[after]:
        revision = seen.history.by_id[child]
        kept = tuple(p for p in revision.down if p != after)
        edit = edited(seen, revision, "down_revision", _one((*kept, id)))
        if edit is None:
            return None
        steps.append(edit)
        title += f" and before {child}"
    return Remedy(
        finding=finding,
        key="pass-through",
        title=f"write a revision {id} that does nothing, {title}",
        steps=tuple(steps),
        default=default,
    )


def _one(ids: Sequence[str]) -> Value:
    return ids[0] if len(ids) == 1 else tuple(ids)


# --- identifiers --------------------------------------------------------------------------------


def edited(seen: Observation, revision: Revision, field: str, value: Value) -> EditFile | None:
    """The step that gives one identifier of a file another value; None where it cannot be done."""
    return edits(seen, revision, {field: value})


def edits(seen: Observation, revision: Revision, values: Mapping[str, Value]) -> EditFile | None:
    """As `edited`, for several identifiers of one file."""
    text: str | None
    before = text = seen.texts.get(revision.path) if seen.has("texts") else None
    for field, value in values.items():
        text = with_field(text, field, value) if text is not None else None
    if before is None or text is None or not seen.writable_files:
        return None
    return EditFile(path=revision.path, before=before, after=text)


def renaming(seen: Observation, old: str, new: str) -> tuple[EditFile, ...] | None:
    """The steps that give a revision another id, in its file and in all that name it."""
    steps = []
    for revision in seen.history.revisions:
        named: dict[str, Value] = {"revision": new} if revision.id == old else {}
        for field, ids in (("down_revision", revision.down), ("depends_on", revision.depends_on)):
            if old in ids:
                named[field] = _one(tuple(new if id == old else id for id in ids))
        if named:
            steps.append(edits(seen, revision, named))
    done = tuple(step for step in steps if step is not None)
    return done if len(done) == len(steps) else None


def parents_before(
    seen: Observation, id: str, knot: Collection[str] = ()
) -> tuple[Version, EditFile] | None:
    """The newest earlier version of a file on this branch that had other parents, and the edit.

    All of them must be known here, and none may come after the file, or lead into `knot`.
    """
    revision = seen.history.by_id[id]
    past = seen.versions.get(id, ()) if seen.has("versions") else ()
    for version in reversed(past):
        known = all(p in seen.history.by_id and not set(ILLEGAL) & set(p) for p in version.down)
        if version.down == revision.down or not known:
            continue
        if seen.history.closure(version.down) & {id, *knot}:
            continue
        if edit := edited(seen, revision, "down_revision", _one(version.down) or None):
            return version, edit
    return None


def with_field(text: str, field: str, value: Value) -> str | None:
    """`text` with another value for one identifier, and for its line in the docstring.

    None unless it is given by one plain assignment of constants.
    """
    whole = text.encode("utf-8", "surrogateescape")
    data = whole.removeprefix(b"\xef\xbb\xbf")  # positions do not count it
    try:
        tree = ast.parse(data)
        (node,) = given(tree, field)
        old = ast.literal_eval(node)
    except SYNTAX:
        return None
    lines = data.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    begin = starts[node.lineno - 1] + node.col_offset
    end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
    new = _written(value, data[begin:end])
    out = data[:begin] + new + data[end:]
    if tree.body and field in HEADER and ast.get_docstring(tree, clean=False) is not None:
        stop = starts[tree.body[0].end_lineno or 1]
        header = re.compile(
            rb"(?m)^(" + HEADER[field] + rb":)([ \t]*)" + _listed(old) + rb"(?=\r?$)"
        )
        said = _listed(value, plain=True)
        space = b" " if said else b""  # where there was none
        out = header.sub(lambda m: m[1] + (m[2] or space) + said, out[:stop]) + out[stop:]
    if not _only(data, out, field, value):
        return None
    return (whole[: len(whole) - len(data)] + out).decode("utf-8", "surrogateescape")


def given(tree: ast.Module, field: str) -> list[ast.expr]:
    """The values that plain assignments at the top level give to a name."""
    found = []
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name == field:
                found.append(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if (
                name == field
            ):
                found.append(value)
    return found


def _written(value: Value, old: bytes) -> bytes:
    """A value as source, in the quotes that the old one has."""
    quote = "'" if b"'" in old and b'"' not in old else '"'

    def text(word: str) -> str:
        return repr(word) if quote in word or "\\" in word else f"{quote}{word}{quote}"

    if value is None or isinstance(value, str):
        return ("None" if value is None else text(value)).encode("utf-8", "surrogateescape")
    return f"({', '.join(map(text, value))}{',' if len(value) == 1 else ''})".encode()


def _listed(value: object, plain: bool = False) -> bytes:
    words = [value] if isinstance(value, str) else list(value) if isinstance(value, tuple) else []
    text = ", ".join(map(str, words)).encode("utf-8", "surrogateescape")
    return text if plain else re.escape(text)


def _only(before: bytes, after: bytes, field: str, value: Value) -> bool:
    """The identifier has the value, and no other statement has changed."""
    try:
        old, new = ast.parse(before), ast.parse(after)
        (node,) = given(new, field)
        now = ast.literal_eval(node)
    except SYNTAX:
        return False
    rest = [[_dumped(s) for s in t.body if not _gives(s, (field,))] for t in (old, new)]
    return bool(now == value and rest[0] == rest[1])


def tops(history: History) -> list[str]:
    """The heads that something can be put on: none that is implied, or hangs on what is missing.

    Without an answer while one of them needs another id (MD211).
    """
    lost = {revision.id for revision, _ in history.missing_parents}
    lost |= {r.id for r in history.by_id.values() if history.unread.keys() & {*r.down}}
    lost |= {id for knot in history.cycles for id in knot}
    heads = [head for head in history.heads if head not in history.implied]
    found = [head for head in heads if not history.closure((head,)) & lost]
    return [] if any(set(ILLEGAL) & set(head) for head in found) else found


def fresh(id: str, name: str, history: History) -> str:
    """A new id for a file, the same each time it is asked for."""
    taken = {r.id for r in history.revisions}
    words = (hashlib.sha256(f"{id} {name} {n}".encode()).hexdigest()[:12] for n in range(99))
    return next(word for word in words if word not in taken)


# --- what a file does ---------------------------------------------------------------------------


def same_upgrade(one: str, other: str) -> bool:
    """Both texts do the same going up.

    Layout, comments, docstrings, annotations, the order of imports, identifiers and downgrade()
    are no difference. A text that cannot be parsed differs.
    """
    return same(one, other, but="downgrade")


def same(one: str, other: str, but: str = "") -> bool:
    """As `same_upgrade`, both ways; `but` is a function that may differ."""
    return one == other or ((code := _code(one, but)) is not None and code == _code(other, but))


def _code(text: str, but: str) -> tuple[list[str], list[str]] | None:
    try:
        tree = ast.parse(text.encode("utf-8", "surrogateescape"))
    except SYNTAX:
        return None
    kept = [
        s for s in tree.body if not _gives(s, FIELDS) and getattr(s, "name", "") != (but or None)
    ]
    imports = [s for s in kept if isinstance(s, ast.Import | ast.ImportFrom)]
    used = {n.id for s in kept for n in ast.walk(s) if isinstance(n, ast.Name)}
    names = sorted(
        f"{getattr(s, 'module', '')} {alias.name} {alias.asname}"
        for s in imports
        for alias in s.names
        if (alias.asname or alias.name).partition(".")[0] in used
    )
    return names, [d for s in kept if s not in imports and (d := _dumped(s))]


def _gives(statement: ast.stmt, fields: Sequence[str]) -> bool:
    return any(given(ast.Module(body=[statement], type_ignores=[]), field) for field in fields)


class _Bare(ast.NodeTransformer):
    """Without docstrings and annotations."""

    def visit_Expr(self, node: ast.Expr) -> ast.stmt | None:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None
        return self._plain(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return None
        return self._plain(ast.Assign(targets=[node.target], value=node.value))

    def visit_Pass(self, _node: ast.Pass) -> None:
        return None

    def _plain(self, node: ast.stmt) -> ast.stmt:
        self.generic_visit(node)
        return node


def _dumped(statement: ast.stmt) -> str:
    bare = _Bare().visit(statement)
    return ast.dump(bare) if bare is not None else ""
