"""Report -> a drawing of the revision graph, in the form that was asked for."""

from migdoctor.report import graph_source, graph_svg, graph_text
from migdoctor.report.graph_sheet import sheet
from migdoctor.result import Report


def render(
    report: Report, form: str, unfold: bool, width: int, color: bool, encoding: str = "utf-8"
) -> str:
    """The whole drawing as text; `width`, `color` and `encoding` are those of a terminal."""
    drawn = sheet(report, unfold)
    match form:
        case "mermaid":
            return graph_source.mermaid(drawn)
        case "dot":
            return graph_source.dot(drawn)
        case "svg":
            return graph_svg.render(drawn)
    return graph_text.render(drawn, width, color, encoding)
