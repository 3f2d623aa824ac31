"""Report -> a drawing of the revision graph, in the form that was asked for."""

from migdoctor.report.graph_sheet import sheet
from migdoctor.result import Report


def render(
    report: Report, form: str, unfold: bool, width: int, color: bool, encoding: str = "utf-8"
) -> str:
    """The whole drawing as text; `width`, `color` and `encoding` are those of a terminal."""
    drawn = sheet(report, unfold)
    match form:
        case "mermaid" | "dot":
            from migdoctor.report import graph_source

            return graph_source.dot(drawn) if form == "dot" else graph_source.mermaid(drawn)
        case "svg":
            from migdoctor.report import graph_svg

            return graph_svg.render(drawn)
    from migdoctor.report import graph_text

    return graph_text.render(drawn, width, color, encoding)
