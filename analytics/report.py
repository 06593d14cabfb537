"""Tables and pictures become one page that opens anywhere: no other file and no network.

Each picture stands in the page as SVG, in the page's colours, so that it follows a dark screen; its text
stays text. The page's own script (report.js, allowed by its hash and nothing else) draws it anew from
numbers, so that it answers under the pointer and follows a choice of days; without script it stays as it is.
Beside the page the pictures lie as PNG, to be sent or printed.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup

from analytics import fonts, plots, sections, svg, wording
from analytics.findings import Findings
from analytics.page import page_data
from analytics.sections import Picture, Report
from analytics.summary import Summary

PNG_DOTS = 150  # an inch: sharp on a phone
STEPS = len(sections.SECTIONS)
PICTURES = {  # that some report may have had: who has one no longer is not to find an old one
    *("messages-per-minute", "messages-per-hour", "messages-per-day", "connected", "weekday-by-hour"),
    *("calendar", "messages-by-name", "who-answers-whom", "words", "languages", "active-people"),
}
_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class _Part:
    """A section with its pictures drawn."""

    section: sections.Section
    pictures: list[tuple[Picture, Markup]]


def write_report(
    summary: Summary,
    findings: Findings,
    folder: Path,
    files: list[str],
    progress: Callable[[], None] | None = None,
) -> Path:
    """Writes index.html and the pictures into the folder, which is made; returns the page's path.

    `progress` is called STEPS times. Pictures of an earlier report that this one has not are removed. Raises
    OSError where it can't write.
    """
    folder.mkdir(parents=True, exist_ok=True)
    report = Report(findings, summary)
    parts = []
    for part in sections.SECTIONS if summary.messages else ():
        section = part(report)
        parts.append(_Part(section, [(each, _drawn(each, folder)) for each in section.pictures]))
        if progress:
            progress()
    page = folder / "index.html"
    page.write_text(_render(report, parts, files), "utf-8")
    for old in PICTURES - {picture.name for part in parts for picture in part.section.pictures}:
        (folder / f"{old}.png").unlink(missing_ok=True)
    return page


def _render(report: Report, parts: list[_Part], files: list[str]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    script = (_FOLDER / "report.js").read_text("utf-8")
    zone = report.findings.zone
    return environment.get_template("report.html").render(
        facts=wording.facts(report.summary, zone),
        period=wording.period(report.summary, zone),
        files=files,
        skipped=wording.skipped_lines(report.findings.skipped),
        parts=parts,
        numbers=_as_data(page_data(report.findings)) if parts else "",
        colours=plots.COLOURS,
        script=Markup(script),
        allowed=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _as_data(numbers: object) -> Markup:
    """JSON that can stand in a page: no text in it ends the element or begins another."""
    text = json.dumps(numbers, separators=(",", ":"), ensure_ascii=True)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _drawn(picture: Picture, folder: Path) -> Markup:
    """Draws it into the folder as PNG; returns it as SVG for the page, which has a heading already."""
    with plots.style():
        axes = picture.draw()
        figure = axes.get_figure(root=True)
        assert figure is not None
        with fonts.drawable(figure):
            figure.savefig(folder / f"{picture.name}.png", dpi=PNG_DOTS, metadata={"Title": picture.caption})
        written = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(written, format="svg", transparent=True, metadata=nothing)
    return svg.in_page(written.getvalue(), picture.name, picture.caption, plots.COLOURS)
