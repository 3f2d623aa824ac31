"""The revision graph in a terminal: newest on top, lanes on the left, one line per revision."""

import textwrap
from collections.abc import Iterable

from rich.cells import cell_len, set_cell_size
from rich.color import ColorSystem
from rich.style import Style

from migdoctor.lanes import Fold, Row
from migdoctor.report.graph_sheet import Sheet
from migdoctor.report.json import visible

UNICODE = "│─├┤┼╰╯┴╮╭┬┊○●◆✗…"
ASCII = "|-||+`'+...:o@*x~"
ALIGNED = 8  # up to so many lanes all texts begin in one column
CORNERS = {  # (to the left, to the right, upwards, downwards)
    (False, True, True, True): "├",
    (True, False, True, True): "┤",
    (True, True, True, True): "┼",
    (False, True, True, False): "╰",
    (True, False, True, False): "╯",
    (True, True, True, False): "┴",
    (True, False, False, True): "╮",
    (False, True, False, True): "╭",
    (True, True, False, True): "┬",
}
STYLE = {
    kind: Style.parse(words)
    for kind, words in {
        "id": "yellow",
        "recorded": "bold green",
        "located": "bold cyan",
        "partial": "bold cyan",
        "state": "yellow",
        "wrong": "bold red",
        "shape": "bold",
        "label": "bold magenta",
        "needs": "blue",
        "broken": "bold red",
        "fold": "dim",
        "plain": "none",
    }.items()
}
Spans = list[tuple[str, str]]  # (kind, text)


def render(sheet: Sheet, width: int, color: bool, encoding: str) -> str:
    """The page, ending in a newline; no line is wider than `width`, but for what is copied."""
    page = _Page(sheet, width, color, encoding)
    return "".join(f"{line.rstrip()}\n" for line in page.lines())


class _Page:
    """One sheet on one stream."""

    def __init__(self, sheet: Sheet, width: int, color: bool, encoding: str) -> None:
        self.sheet, self.width, self.color = sheet, width, color
        self.encoding = encoding
        self.table = {} if _can(encoding, UNICODE) else str.maketrans(UNICODE, ASCII)
        lanes = sheet.width
        self.room = 2 * lanes if lanes <= ALIGNED and 4 * lanes <= width else 0

    def lines(self) -> Iterable[str]:
        for title, text in self.sheet.notes:
            yield from self._wrapped(f"{title:10} {text}", " " * 11)
        yield ""
        for line in self.sheet.lines:
            if isinstance(line, Fold):
                yield self._line(_cells(line, "┊"), [("fold", self.sheet.folded(line))])
            else:
                yield self._line(_cells(line, self._node(line)), self._revision(line))
                if line.edges and not line.straight:
                    yield self._line(_link(line), [])
        for code, name, where, message in self.sheet.broken:
            yield ""
            yield self._inked([("broken", f"{code} {name}"), ("plain", f"  {where}")])
            yield from self._wrapped(f"  {message}", "  ")

    def _node(self, row: Row) -> str:
        kinds = {kind for kind, _text in self.sheet.marks[row.id]}
        for kind, glyph in (("broken", "✗"), ("recorded", "●"), ("located", "◆")):
            if kind in kinds:
                return glyph
        return "○"

    def _revision(self, row: Row) -> Spans:
        spans = [("id", visible(row.id))]
        for kind, text in self.sheet.marks[row.id]:
            spans += [("plain", " "), (kind, text)]
        return [*spans, ("plain", f" {self.sheet.text(row.id)}")]

    def _line(self, cells: list[str], spans: Spans) -> str:
        lanes = "".join(cells)
        room = self.room or 2 * (len(lanes.rstrip()) // 2 + 1)
        most = self.width // 2
        if room > most:  # too many lanes for this screen
            lanes = lanes if len(lanes.rstrip()) < most else f"{lanes[: most - 2]}…"
            room = most
        lanes = f"{lanes:{room}}".translate(self.table)
        return lanes + " " + self._inked(self._cropped(spans, self.width - room - 1))

    def _cropped(self, spans: Spans, width: int) -> Spans:
        """The spans as far as they fit, and a sign that something is missing."""
        spans = [(kind, self._sayable(text)) for kind, text in spans]
        if sum(cell_len(text) for _kind, text in spans) <= width:
            return spans
        left = width - 1
        cut: Spans = []
        for kind, text in spans:
            part = text if cell_len(text) <= left else set_cell_size(text, left)
            cut.append((kind, part))
            left -= cell_len(part)
        return [*cut, ("plain", "…".translate(self.table))]

    def _sayable(self, text: str) -> str:
        text = text.replace("…", "...") if self.table else text
        return text.encode(self.encoding, "backslashreplace").decode(self.encoding)

    def _inked(self, spans: Spans) -> str:
        if not self.color:
            return "".join(text for _kind, text in spans)
        return "".join(
            STYLE[kind].render(text, color_system=ColorSystem.STANDARD) for kind, text in spans
        )

    def _wrapped(self, text: str, indent: str) -> list[str]:
        return textwrap.wrap(
            self._sayable(text),
            self.width,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )


def _cells(line: Row | Fold, glyph: str) -> list[str]:
    """The lanes beside a revision, two characters each."""
    cells = [" "] * (2 * (1 + max(line.lane, *line.passing, 0)))
    for lane in line.passing:
        cells[2 * lane] = "│"
    cells[2 * line.lane] = glyph
    return cells


def _link(row: Row) -> list[str]:
    """The line below a revision on which lines change their lane; one that only runs by is
    crossed without a knot."""
    ends = {*row.edges, *row.joining} - {row.lane}
    first, last = min(*ends, row.lane), max(*ends, row.lane)
    cells = [" "] * (2 * (1 + max(last, *row.passing, 0)))
    cells[2 * first : 2 * last] = "─" * (2 * (last - first))
    for lane in row.passing:
        cells[2 * lane] = "│"
    for lane in (row.lane, *ends):
        above = lane == row.lane or lane in row.passing
        cells[2 * lane] = CORNERS[first < lane, lane < last, above, lane in row.edges]
    return cells


def _can(encoding: str, text: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
