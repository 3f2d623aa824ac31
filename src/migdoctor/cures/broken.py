"""Revision files that cannot be loaded: what they were or were meant to be, where that is known.

Pure. Nothing that a person may have meant is replaced unasked: only a text that ran here in another
version, the half of a conflict that cannot be loaded, and what is plain damage.
"""

import ast
import hashlib
import re
from collections.abc import Mapping

from migdoctor.cures import files
from migdoctor.facts import Sound
from migdoctor.graph import Broken
from migdoctor.model import Cure, EditFile, Finding, MoveFile, NeedsHuman, Observation, Remedy

_UNREADABLE = re.compile(r"[^\x20-\x7e]")
# Which marker of a merge may come after which, and to which sides the lines after it belong; after
# the third one stands the common ancestor.
_NEXT = {"": "<", "<" * 7: "|=", "|" * 7: "=", "=" * 7: ">", ">" * 7: ""}
_SIDES = {"": (0, 1), "<": (0,), "|": (), "=": (1,)}
# What changes its meaning when a module becomes a package of the same name.
_PLACED = frozenset({"__file__", "__path__", "__package__", "__spec__", "__name__"})


def cures(finding: Finding, seen: Observation, broken: Broken) -> tuple[Cure, ...]:
    """The same text in UTF-8, git's last sound version, one side of a conflict, or another place.

    The first that is beyond doubt is the default; without one a person chooses among the rest.
    """
    now = seen.texts.get(broken.path)
    if now is None:
        return (NeedsHuman(finding=finding, why="it cannot be read here, so it stays as it is"),)
    if not seen.writable_files:
        return (NeedsHuman(finding=finding, why=_by_hand(seen, broken)),)
    sides = _one_side(finding, seen, broken, now)
    restored, why = _restored(finding, seen, broken, now, len(sides) > 1)
    found = [
        *filter(None, (_in_utf8(finding, seen, broken, now),)),
        *(side for side in sides if side.default or not restored or side.steps != restored.steps),
        *filter(None, (restored, _as_package(finding, seen, broken, now))),
    ]
    default = next((cure for cure in found if cure.default), None)
    if default is None:
        return (NeedsHuman(finding=finding, why=why), *found)
    return (default, *(cure for cure in found if cure.steps != default.steps))


def _by_hand(seen: Observation, broken: Broken) -> str:
    sound = seen.sound.get(broken.path) if seen.has("sound") else None
    said = f"; put this there, from {sound.where}:\n{sound.text}" if sound else ""
    return f"this folder may not be written{said}"


# --- git's last sound version -------------------------------------------------------------------


def _restored(
    finding: Finding, seen: Observation, broken: Broken, now: str, open_: bool
) -> tuple[Remedy | None, str]:
    """The version of git, and why it is no default, or why there is none.

    `open_`: the text is a conflict of which either side can be loaded.
    """
    if not seen.has("sound"):
        return None, f"no earlier version is known: {seen.missing['sound'].why}; never delete it"
    sound = seen.sound.get(broken.path)
    if sound is None:
        return None, (
            "git knows no version of it that can be loaded: only its author knows what it was "
            "meant to say; never delete it, for a database may be at that revision"
        )
    if (why := _unfit(seen, broken, sound)) is not None:
        return None, f"{sound.where} has it, but {why}"
    doubt = _doubt(seen, broken, sound, now, open_)
    remedy = Remedy(
        finding=finding,
        key="restore",
        title=f"put the text of {sound.where} back into {broken.path.name}, the last one that "
        "can be loaded",
        steps=(EditFile(path=broken.path, before=now, after=sound.text),),
        default=not doubt,
    )
    return remedy, doubt


def _unfit(seen: Observation, broken: Broken, sound: Sound) -> str | None:
    """Why the version would bring another sickness, None where it would not."""
    history = seen.history
    owner = history.by_id.get(sound.id)
    if owner is not None and owner.path != broken.path:
        return f"{owner.path.name} is {sound.id} by now"
    others = seen.sound.values() if seen.has("sound") else ()
    names = {*history.by_id, *history.unread, *(s.id for s in others)}
    if lost := [parent for parent in sound.down if parent not in names]:
        return f"follows {', '.join(lost)} there, which no file has"
    after = {r.id for r in history.revisions if sound.id in (r.id, *r.down, *r.depends_on)}
    if history.closure(sound.down) & after:
        return "comes there after what comes after it here"
    return None


def _doubt(seen: Observation, broken: Broken, sound: Sound, now: str, open_: bool) -> str:
    """Why a person should look first, '' where nothing can be lost."""
    if not sound.here:
        return f"on this branch it never could be loaded; {sound.where} has it"
    revision = next((r for r in seen.history.revisions if r.path == broken.path), None)
    if revision is not None and revision.down != sound.down:
        was = ", ".join(sound.down) or "nothing"
        return f"its parent was changed since {sound.where}, where it follows {was}"
    if nothing_lost(now, sound.text):
        return ""
    if not sound.kept:
        return (
            f"what it holds now was never committed, and {sound.where} has not all of it: save "
            "what you need"
        )
    if _ran(seen, sound.id):
        return ""
    if open_:
        return "neither side of the conflict has run here: which one is meant its authors know"
    if sound.text in (text for _, text in conflict(now) or ()):
        return ""
    return f"it was changed after {sound.where} and has not run here: the change may be meant"


def _ran(seen: Observation, id: str) -> bool:
    """The version table says so; a file that cannot be read is named by those that follow it."""
    if not seen.has("version_tables"):
        return False
    reached = (seen.history.by_id[i] for i in seen.history.closure(seen.stamped))
    return id in seen.rows or any(id in (r.id, *r.down, *r.depends_on) for r in reached)


def nothing_lost(now: str, sound: str) -> bool:
    """Every line of a damaged text, as far as it can be read, is a piece of a line of the other.

    So it is after a crash, a full disk or a wrong encoding: there is less, and nothing new.
    """
    known = _readable(sound)
    return all(any(line in other for other in known) for line in _readable(now))


def _readable(text: str) -> list[str]:
    lines = (_UNREADABLE.sub("", line).strip() for line in text.replace("\0", "").splitlines())
    return list(dict.fromkeys(line for line in lines if line))


# --- the text itself ----------------------------------------------------------------------------


def _in_utf8(finding: Finding, seen: Observation, broken: Broken, now: str) -> Remedy | None:
    """The same characters in UTF-8, where the first bytes say what they are in."""
    data = now.encode("utf-8", "surrogateescape")
    if data[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        return None
    try:
        text = data.decode("utf-16")
    except UnicodeDecodeError:
        return None
    if (said := identifiers(text)) is None or _unfit(seen, broken, _as_sound(said, text)):
        return None
    return Remedy(
        finding=finding,
        key="utf-8",
        title=f"save {broken.path.name} as UTF-8, with the same text",
        steps=(EditFile(path=broken.path, before=now, after=text),),
    )


def _as_sound(said: Mapping[str, object], text: str) -> Sound:
    down = said.get("down_revision")
    parents = (down,) if isinstance(down, str) else tuple(down) if isinstance(down, tuple) else ()
    return Sound(id=str(said["revision"]), down=parents, text=text, where="", here=True, kept=True)


def _one_side(finding: Finding, seen: Observation, broken: Broken, now: str) -> list[Remedy]:
    """Each side of an open conflict that can be loaded; a default where both do the same."""
    sides = conflict(now)
    if sides is None:
        return []
    said = [identifiers(text) for _, text in sides]
    return [
        Remedy(
            finding=finding,
            key=key,
            title=f"settle the conflict in {broken.path.name} as {name} has it",
            steps=(EditFile(path=broken.path, before=now, after=text),),
            default=said[0] == said[1] and files.same(sides[0][1], sides[1][1]),
        )
        for key, (name, text), ids in zip(("ours", "theirs"), sides, said, strict=True)
        if ids is not None and _unfit(seen, broken, _as_sound(ids, text)) is None
    ]


def conflict(text: str) -> list[tuple[str, str]] | None:
    """(name, whole text) of both sides; None where no markers are there, or not in order."""
    names, sides = ["one side", "the other side"], (list[str](), list[str]())
    where, found = "", False  # the last marker; "" outside
    for line in text.splitlines(keepends=True):
        mark, _, name = line.rstrip("\r\n").partition(" ")
        if not mark or mark not in _NEXT or (mark[0] == "=" and not where):
            for side in _SIDES[where[:1]]:
                sides[side].append(line)
        elif mark[0] not in _NEXT[where]:
            return None
        else:
            where, found = mark.strip(">"), True
            if name and mark[0] in "<>":
                names[mark[0] == ">"] = name
    if where or not found:
        return None
    return [(name, "".join(lines)) for name, lines in zip(names, sides, strict=True)]


def identifiers(text: str) -> Mapping[str, object] | None:
    """The identifiers of a text, each given once as a constant; None where it is no revision."""
    try:
        tree = ast.parse(text.encode("utf-8", "surrogateescape"))
        given = {field: files.given(tree, field) for field in files.FIELDS}
        if any(len(nodes) > 1 for nodes in given.values()):
            return None
        found = {field: ast.literal_eval(nodes[0]) for field, nodes in given.items() if nodes}
    except files.SYNTAX:
        return None
    whole = isinstance(found.get("revision"), str) and "down_revision" in found
    return found if whole else None


# --- another place ------------------------------------------------------------------------------


def _as_package(finding: Finding, seen: Observation, broken: Broken, now: str) -> Remedy | None:
    """A helper module as a package of the same name: imports find it, alembic passes over it.

    Not where the module looks at its own place, or a revision names the file; and not what may be
    the rest of a revision.
    """
    was = seen.has("sound") and broken.path in seen.sound
    if broken.kind != "missing" or was or "Revision ID:" in now:
        return None
    try:
        tree = ast.parse(now.encode("utf-8", "surrogateescape"))
    except files.SYNTAX:
        return None
    nodes = list(ast.walk(tree))
    defined = [s for s in tree.body if not isinstance(s, ast.Import | ast.ImportFrom | ast.Expr)]
    functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    named = {node.id for node in nodes if isinstance(node, ast.Name)}
    relative = any(isinstance(node, ast.ImportFrom) and node.level for node in nodes)
    if (
        not defined
        or relative
        or named & (_PLACED | {*files.FIELDS})
        or functions & {"upgrade", "downgrade"}
    ):
        return None
    others = (text for path, text in seen.texts.items() if path != broken.path)
    if any(broken.path.name in text for text in others):
        return None
    stem = broken.path.stem
    return Remedy(
        finding=finding,
        key="package",
        title=f"make {broken.path.name} the package {stem}: imports find it as before, and "
        "alembic takes it for no revision",
        steps=(
            MoveFile(
                path=broken.path,
                to=broken.path.with_suffix("") / "__init__.py",
                sha256=hashlib.sha256(now.encode("utf-8", "surrogateescape")).hexdigest(),
            ),
        ),
    )
