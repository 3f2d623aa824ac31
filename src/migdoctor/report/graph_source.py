"""The revision graph in the languages of drawing programs: mermaid and Graphviz's dot.

Nodes bear numbers of our own, so that no id, whatever it is made of, can be taken for a keyword.
An arrow goes from a revision to the one that follows it.
"""

from collections.abc import Iterator

from migdoctor.lanes import Fold, Row
from migdoctor.report.graph_sheet import Sheet
from migdoctor.report.json import visible

LONG = 60  # characters of a message
CLASSES = {  # the first kind of mark that a revision has decides
    "broken": ("#ffebe9", "#a40e26"),
    "wrong": ("#ffebe9", "#a40e26"),
    "recorded": ("#dafbe1", "#1a7f37"),
    "located": ("#ddf4ff", "#0969da"),
    "partial": ("#ddf4ff", "#0969da"),
    "state": ("#fff8c5", "#9a6700"),
}
Edge = tuple[str, str, str]  # from, to, kind: "", "needs" or "lost"


def mermaid(sheet: Sheet) -> str:
    """A `flowchart`, oldest on top, as GitHub and GitLab draw it in Markdown."""
    plan = _Plan(sheet)
    lines = ["flowchart TD"]
    lines += [f"  %% {_remark(title, text)}" for title, text in sheet.notes]
    for name, texts, kind in plan.nodes:
        label = "<br/>".join(_entities(text) for text in texts)
        shape = f'(["{label}"])' if kind == "fold" else f'["{label}"]'
        lines.append(f"  {name}{shape}{f':::{kind}' if kind in CLASSES else ''}")
    arrows = {"": "-->", "needs": "-.->|needed by|", "lost": "--x"}
    lines += [f"  {start} {arrows[kind]} {end}" for start, end, kind in plan.edges]
    lines += [
        f"  classDef {name} fill:{fill},stroke:{ink},color:#1f2328"
        for name, (fill, ink) in CLASSES.items()
        if any(kind == name for _name, _texts, kind in plan.nodes)
    ]
    lines += [f"  %% {_remark(*found)}" for found in sheet.broken]
    return "".join(f"{line}\n" for line in lines)


def dot(sheet: Sheet) -> str:
    """A `digraph`, oldest at the bottom as in the terminal."""
    plan = _Plan(sheet)
    lines = ["digraph revisions {", "  rankdir=BT;"]
    lines += [f"  // {_remark(title, text)}" for title, text in sheet.notes]
    lines.append('  node [shape=box, style="rounded,filled", fillcolor="#ffffff"];')
    for name, texts, kind in plan.nodes:
        looks = [f"label={_quoted(texts)}"]
        if kind in CLASSES:
            fill, ink = CLASSES[kind]
            looks += [f'fillcolor="{fill}"', f'color="{ink}"']
        elif kind == "fold":
            looks.append('style="rounded,dashed"')
        lines.append(f"  {name} [{', '.join(looks)}];")
    arrows = {
        "": "",
        "needs": ' [style=dashed, label="needed by"]',
        "lost": ' [style=dashed, color="#a40e26"]',
    }
    lines += [f"  {start} -> {end}{arrows[kind]};" for start, end, kind in plan.edges]
    lines += [f"  // {_remark(*found)}" for found in sheet.broken]
    return "".join(f"{line}\n" for line in [*lines, "}"])


class _Plan:
    """The nodes (name, lines of text, kind) and edges of a sheet, oldest first."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self.names: dict[str, str] = {}
        for number, line in enumerate(reversed(sheet.lines)):
            for row in line.rows if isinstance(line, Fold) else (line,):
                self.names[row.id] = f"r{number}"
        self.lost: dict[str, str] = {}
        lines = list(reversed(sheet.lines))
        self.nodes = [self._node(line) for line in lines]
        self.edges = list(dict.fromkeys(edge for line in lines for edge in self._edges(line)))
        self.nodes += [
            (name, [f"{visible(id)} (no file has it)"], "broken") for id, name in self.lost.items()
        ]

    def _node(self, line: Row | Fold) -> tuple[str, list[str], str]:
        if isinstance(line, Fold):
            return self.names[line.rows[0].id], [self.sheet.folded(line)], "fold"
        marks = self.sheet.marks[line.id]
        kinds = {kind for kind, _text in marks}
        message = self.sheet.text(line.id)
        short = message if len(message) <= LONG else f"{message[: LONG - 1]}…"
        texts = [visible(line.id), short, " ".join(text for _kind, text in marks)]
        kind = next((kind for kind in CLASSES if kind in kinds), "")
        return self.names[line.id], [text for text in texts if text], kind

    def _edges(self, line: Row | Fold) -> Iterator[Edge]:
        history = self.sheet.history
        for row in line.rows if isinstance(line, Fold) else (line,):
            here, revision = self.names[row.id], history.by_id[row.id]
            for parent in dict.fromkeys(revision.down):
                if parent not in self.names:
                    name = self.lost.setdefault(parent, f"x{len(self.lost)}")
                    yield name, here, "lost"
                elif self.names[parent] != here or not isinstance(line, Fold):
                    yield self.names[parent], here, ""
            for needed in map(history.dependency, revision.depends_on):
                if needed is not None and needed not in revision.down:
                    yield self.names[needed], here, "needs"


def _remark(*parts: str) -> str:
    """Text for a comment, without braces: mermaid obeys `%%{...}%%` even there."""
    return " ".join(filter(None, parts)).replace("{", "(").replace("}", ")")


def _entities(text: str) -> str:
    """Text for a quoted mermaid label: whatever could end it, or be markup, by its number."""
    return "".join(c if c.isalnum() or c in " .,:()_-…/'" else f"#{ord(c)};" for c in text)


def _quoted(texts: list[str]) -> str:
    """Lines of text as one string of the dot language."""
    lines = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return '"' + "\\n".join(lines) + '"'
