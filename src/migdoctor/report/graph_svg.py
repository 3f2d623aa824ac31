"""The revision graph as an SVG picture: lanes, nodes and badges, dark on light, no script.

Text is set in a monospaced font and every piece is given its length, so that nothing overlaps
whatever font the viewer has.
"""

import textwrap
from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape, quoteattr

from rich.cells import cell_len, set_cell_size

from migdoctor.lanes import Fold, Row
from migdoctor.report.graph_sheet import Sheet
from migdoctor.report.json import visible

ROW, LANE, EDGE = 28, 18, 22  # heights and widths in pixels
SIZE, CELL = 13, 7.85  # of the font, and of one cell of it
ID, MESSAGE, MARK, PAGE = 36, 64, 40, 96  # cells at most: of an id, a message, a mark, a line
COLORS = ("#0969da", "#1a7f37", "#8250df", "#bc4c00", "#bf3989", "#1b7c83", "#57606a")
BADGE = {  # kind -> (fill, ink)
    "recorded": ("#1a7f37", "#ffffff"),
    "located": ("#0969da", "#ffffff"),
    "partial": ("#ddf4ff", "#0a3069"),
    "shape": ("#eaeef2", "#32383f"),
    "label": ("#fbefff", "#512a97"),
    "needs": ("#ddf4ff", "#0a3069"),
    "broken": ("#ffebe9", "#a40e26"),
    "state": ("#fff8c5", "#633c01"),
    "wrong": ("#ffebe9", "#a40e26"),
}
STYLE = f"""
text {{ font: {SIZE}px 'DejaVu Sans Mono', Menlo, Consolas, monospace;
  fill: #1f2328; white-space: pre; }}
.id {{ font-weight: bold; }} .dim {{ fill: #57606a; }} .bad {{ fill: #a40e26; font-weight: bold; }}
.lane {{ fill: none; stroke-width: 2; stroke-linecap: round; }}
"""


def render(sheet: Sheet) -> str:
    """The picture as text, ending in a newline."""
    return "\n".join(_Picture(sheet).elements()) + "\n"


class _Picture:
    """One sheet on one canvas, filled from top to bottom."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self.ids = max((min(cell_len(visible(r)), ID) for r in sheet.marks), default=0)
        self.texts = EDGE + sheet.width * LANE + 6
        self.right = 0.0  # how far to the right anything reaches
        self.y = 14.0

    def elements(self) -> Iterator[str]:
        body = [*self._notes(), *self._graph(), *self._broken()]
        width, height = round(self.right + EDGE), round(self.y + 6)
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" role="img" aria-label="revision graph">'
        )
        yield f"<style>{STYLE}</style>"
        yield f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
        yield from body
        yield "</svg>"

    def _notes(self) -> Iterator[str]:
        for title, text in self.sheet.notes:
            for number, line in enumerate(_wrapped(text, PAGE - 11)):
                if not number:
                    yield self._text(EDGE / 2, title, "dim")
                yield self._text(EDGE / 2 + 11 * CELL, line)
                self.y += 18
        self.y += 18

    def _graph(self) -> Iterator[str]:
        lines = self.sheet.lines
        paths: dict[int, list[str]] = {}
        dots: list[str] = []
        texts: list[str] = []
        for number, line in enumerate(lines):
            if number + 1 < len(lines):
                for lane, path in self._links(line):
                    paths.setdefault(lane, []).append(path)
            dots += self._folded(line) if isinstance(line, Fold) else self._node(line)
            texts += self._beside(line)
            self.y += ROW
        for lane, parts in sorted(paths.items()):
            color = COLORS[lane % len(COLORS)]
            yield f'<path class="lane" stroke="{color}" d="{"".join(parts)}"/>'
        yield from dots
        yield from texts

    def _links(self, line: Row | Fold) -> Iterator[tuple[int, str]]:
        """(lane whose colour it has, path) of every line from this row down to the next."""
        joining = () if isinstance(line, Fold) else line.joining
        edges = (line.lane,) if isinstance(line, Fold) else line.edges
        for lane in line.passing:
            yield lane, self._path(lane, line.lane if lane in joining else lane)
        for lane in edges:
            yield max(lane, line.lane), self._path(line.lane, lane)

    def _path(self, above: int, below: int) -> str:
        start, end = self._x(above), self._x(below)
        if start == end:
            return f"M{start:g} {self.y:g}v{ROW}"
        half = ROW / 2
        return f"M{start:g} {self.y:g}c0 {half:g} {end - start:g} {half:g} {end - start:g} {ROW}"

    def _x(self, lane: int) -> float:
        return EDGE + lane * LANE

    def _node(self, row: Row) -> Iterator[str]:
        x, y, color = self._x(row.lane), self.y, COLORS[row.lane % len(COLORS)]
        kinds = {kind for kind, _text in self.sheet.marks[row.id]}
        title = f"<title>{escape(self.sheet.place(row.id))}</title>"
        if row.lost and not row.edges:
            yield (
                f'<path d="M{x:g} {y:g}v12m-5 0h10" fill="none" stroke="#a40e26" '
                'stroke-width="2" stroke-linecap="round"/>'
            )
        if "broken" in kinds:
            yield f'<circle cx="{x:g}" cy="{y:g}" r="6.5" fill="#a40e26">{title}</circle>'
            yield (
                f'<path d="M{x - 2.5:g} {y - 2.5:g}l5 5m0 -5l-5 5" stroke="#ffffff" '
                'stroke-width="1.6" stroke-linecap="round"/>'
            )
        elif kinds & {"recorded", "located"}:
            fill = BADGE["recorded" if "recorded" in kinds else "located"][0]
            ring = BADGE["located"][0] if "located" in kinds else "#ffffff"
            yield f'<circle cx="{x:g}" cy="{y:g}" r="8.5" fill="#ffffff"/>'
            yield (
                f'<circle cx="{x:g}" cy="{y:g}" r="6.5" fill="{fill}" stroke="{ring}" '
                f'stroke-width="2.5">{title}</circle>'
            )
        else:
            yield (
                f'<circle cx="{x:g}" cy="{y:g}" r="5" fill="#ffffff" stroke="{color}" '
                f'stroke-width="2">{title}</circle>'
            )

    def _folded(self, line: Fold) -> Iterator[str]:
        x, color = self._x(line.lane), COLORS[line.lane % len(COLORS)]
        yield f'<rect x="{x - 4:g}" y="{self.y - 9:g}" width="8" height="18" fill="#ffffff"/>'
        for shift in (-6, 0, 6):
            yield f'<circle cx="{x:g}" cy="{self.y + shift:g}" r="1.6" fill="{color}"/>'

    def _beside(self, line: Row | Fold) -> Iterator[str]:
        if isinstance(line, Fold):
            yield self._text(self.texts, self.sheet.folded(line), "dim")
            return
        yield self._text(self.texts, _cut(visible(line.id), ID), "id")
        x = self.texts + (self.ids + 1.5) * CELL
        for kind, text in self.sheet.marks[line.id]:
            word = _cut(text[1:-1] if text[:1] + text[-1:] in ("()", "[]") else text, MARK)
            fill, ink = BADGE[kind]
            wide = cell_len(word) * CELL + 12
            yield (
                f'<rect x="{x:g}" y="{self.y - 9:g}" width="{wide:g}" height="18" rx="9" '
                f'fill="{fill}"/>'
            )
            yield self._text(x + 6, word, fill=ink)
            x += wide + 6
        if message := self.sheet.text(line.id):
            yield self._text(x + 2, _cut(message, MESSAGE))

    def _broken(self) -> Iterator[str]:
        self.y += 8 if self.sheet.broken else 0
        for code, name, where, message in self.sheet.broken:
            yield self._text(EDGE / 2, f"{code} {name}", "bad")
            yield self._text(EDGE / 2 + (len(code) + len(name) + 3) * CELL, where, "dim")
            for line in _wrapped(message, PAGE):
                self.y += 18
                yield self._text(EDGE / 2 + 2 * CELL, line)
            self.y += 26

    def _text(self, x: float, text: str, kind: str = "", fill: str = "") -> str:
        long = cell_len(text) * CELL
        self.right = max(self.right, x + long)
        looks = f" class={quoteattr(kind)}" if kind else ""
        looks += f" style={quoteattr(f'fill: {fill}')}" if fill else ""
        size = f' textLength="{long:g}" lengthAdjust="spacingAndGlyphs"' if text else ""
        return f'<text x="{x:g}" y="{self.y + SIZE * 0.35:g}"{size}{looks}>{escape(text)}</text>'


def _wrapped(text: str, width: int) -> Iterable[str]:
    return textwrap.wrap(text, width) or [""]


def _cut(text: str, cells: int) -> str:
    return text if cell_len(text) <= cells else set_cell_size(text, cells - 1) + "…"
