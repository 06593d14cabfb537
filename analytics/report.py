"""Tables and pictures become one page that opens anywhere: no other file, no network, no script.

The pictures stand in the page as SVG, in the page's colours, so that they follow a dark screen; their text
stays text. Beside the page they lie as PNG, to be sent or printed.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from analytics import conversations, places, plots, tables, wording, words
from analytics.findings import Findings
from analytics.languages import UNKNOWN
from analytics.summary import Summary
from analytics.tables import Per

LISTED = 15  # rows of a list on the page; in a notebook a table has them all
PNG_DOTS = 150  # an inch: sharp on a phone
# Besides the bins that were asked for, coarser ones, and from how many minutes on they show something new.
COARSER: dict[Per, tuple[tuple[Per, int], ...]] = {
    "minute": (("hour", 12 * 60), ("day", 3 * 24 * 60)),
    "hour": (("day", 3 * 24 * 60),),
    "day": (),
}


@dataclass(frozen=True)
class Report:
    """What a report is made of."""

    findings: Findings
    summary: Summary
    files: list[str]


@dataclass(frozen=True)
class Picture:
    """A picture: its file name without ending, how to draw it, and what it shows, in words."""

    name: str
    draw: Callable[[], Axes]
    alternative: str


@dataclass(frozen=True)
class Listing:
    """A table with a title; its cells are text."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    title: str
    sentence: str = ""
    pictures: list[Picture] = field(default_factory=list)
    listings: list[Listing] = field(default_factory=list)


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
    report = Report(findings, summary, files)
    parts = []
    for part in SECTIONS if summary.messages else ():
        section = part(report)
        parts.append((section, [(each, _drawn(each, folder)) for each in section.pictures]))
        if progress:
            progress()
    page = folder / "index.html"
    page.write_text(_render(report, parts), "utf-8")
    drawn = {picture.name for section, _ in parts for picture in section.pictures}
    for old in PICTURES - drawn:
        (folder / f"{old}.png").unlink(missing_ok=True)
    return page


def _render(report: Report, parts: list[tuple[Section, list[tuple[Picture, Markup]]]]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    zone = report.findings.zone
    return environment.get_template("report.html").render(
        facts=wording.facts(report.summary, zone),
        period=wording.period(report.summary, zone),
        files=report.files,
        skipped=wording.skipped_lines(report.findings.skipped),
        parts=parts,
        colours=plots.COLOURS,
    )


# ---------------------------------------------------------------------------------------------- the sections


def _messages(report: Report) -> Section:
    """The headline, and coarser views where the time is long enough for them."""
    summary, findings = report.summary, report.findings
    counts = findings.counts
    pictures = [_messages_picture(counts)]
    for per, minutes in COARSER[counts.index.name]:
        if summary.rate.minutes > minutes:
            pictures.append(_messages_picture(findings.per(per)))
    return Section("How much is said", pictures=pictures)


def _messages_picture(counts: pd.Series[int]) -> Picture:
    per = counts.index.name
    alternative = f"Messages per {per} over time; at most {counts.max():,}, on average {counts.mean():.3g}."
    return Picture(f"messages-per-{per}", lambda: plots.messages(counts), alternative)


def _online(report: Report) -> Section:
    findings, summary = report.findings, report.summary
    connected, lasted = findings.connected, findings.time_connected
    curve = findings.online.tz_convert(findings.zone)
    peak = f"at most {summary.most_online} at once"
    return Section(
        "Who was connected",
        f"{wording.counted(len(connected), 'connection')} of {wording.counted(len(lasted), 'name')}, {peak}.",
        [Picture("connected", lambda: plots.online(curve), f"How many were connected over time: {peak}.")],
        [
            Listing(
                "Time connected",
                ("name", "time"),
                [(str(name), wording.span(length)) for name, length in lasted.head(LISTED).items()],
            )
        ],
    )


def _rhythm(report: Report) -> Section:
    table = report.findings.weekday_by_hour
    weekday, hour = divmod(int(np.nanargmax(table.to_numpy())), 24)
    busiest = f"most is said on {wording.WEEKDAYS[weekday]} from {hour}:00 to {hour + 1}:00"
    pictures = [
        Picture("weekday-by-hour", lambda: plots.weekday_by_hour(table), f"Weekdays by hours: {busiest}.")
    ]
    days = report.findings.per("day")
    if len(days) > 14:
        alternative = f"A calendar; the stronger a day's colour, the more was said, at most {days.max():,}."
        pictures.append(Picture("calendar", lambda: plots.calendar(days), alternative))
    return Section("When people talk", f"{busiest[0].upper()}{busiest[1:]}.", pictures)


def _people(report: Report) -> Section:
    names, zone = report.findings.people, report.findings.zone
    rows = [
        (str(name), *_numbers(row), wording.moment(row.first, zone), wording.moment(row.last, zone))
        for name, row in zip(names.index, names.head(LISTED).itertuples(), strict=False)
    ]
    columns = ("name", "messages", "share", "words", "characters", "first", "last")
    first = names.index[0]
    return Section(
        "Who talks",
        "",
        [
            Picture(
                "messages-by-name",
                lambda: plots.bars(names["messages"], "Messages by name"),
                f"Messages by name: {first} said most, {names['messages'].iloc[0]:,}.",
            )
        ],
        [Listing("By name", columns, rows)],
    )


def _numbers(row: Any) -> tuple[str, ...]:
    return f"{row.messages:,}", f"{row.share:.1%}", f"{row.words:,}", f"{row.characters:,}"


def _talk(report: Report) -> Section:
    findings = report.findings
    talks, answered = findings.conversations, findings.answers
    length = (talks["end"] - talks["start"]).median()
    sentence = (
        f"{wording.counted(len(talks), 'conversation')}, half of them longer than {wording.span(length)} "
        f"and with more than {talks['messages'].median():,.0f} messages. "
        f"A silence of {wording.span(conversations.SILENCE)} ends one."
    )
    matrix = conversations.who_answers_whom(answered)
    starters = tables.most_first(talks["starter"].value_counts())
    delays, mentioned = findings.time_to_answer, findings.mentions
    return Section(
        "Who talks with whom",
        sentence,
        [
            Picture(
                "who-answers-whom",
                lambda: plots.who_answers_whom(matrix),
                "Who answers (rows) whom (columns): the stronger the colour, the more often.",
            )
        ]
        if len(matrix)
        else [],
        [
            Listing("Who starts conversations", ("name", "conversations"), _rows(starters)),
            Listing(
                "Time to answer",
                ("name", "answers", "half of them within"),
                [
                    (str(name), f"{row.answers:,}", wording.span(row.median))
                    for name, row in zip(delays.index, delays.head(LISTED).itertuples(), strict=False)
                ],
            ),
            Listing(
                "Mentions",
                ("who", "whom", "times"),
                [(row.name, row.mentioned, f"{row.times:,}") for row in mentioned.head(LISTED).itertuples()],
            ),
        ],
    )


def _words(report: Report) -> Section:
    findings = report.findings
    common, said, links = findings.common_languages, findings.words, findings.links
    return Section(
        "What is said",
        "Without the stop words of the languages found." if len(common) else "",
        [
            Picture(
                "words",
                lambda: plots.bars(said, "Words"),
                f"The words said most: {', '.join(said.index[:5])}.",
            )
        ]
        if len(said)
        else [],
        [
            Listing("Emoji", ("emoji", "times"), _rows(findings.emoji)),
            Listing("Links", ("link", "times"), _rows(links)),
            Listing("Sites", ("site", "times"), _rows(words.sites(links))),
        ],
    )


def _languages(report: Report) -> Section:
    found = report.findings.languages
    return Section(
        "Languages",
        f"A text that is too short, or could be in several languages, is {UNKNOWN}.",
        [
            Picture(
                "languages",
                lambda: plots.bars(found, "Messages by language"),
                "Messages by language: "
                + ", ".join(f"{code} {number:,}" for code, number in found.items())
                + ".",
            )
        ],
    )


def _places(report: Report) -> Section:
    findings = report.findings
    table = findings.places
    networks = places.networks(table)
    shares = findings.addresses["share"].reindex(table.index, fill_value=0.0)
    addresses: list[tuple[str, ...]] = [
        (address, row.host, row.range, row.country, f"{row.names:,}", f"{row.messages:,}", f"{share:.1%}")
        for address, share, row in zip(table.index, shares, table.head(LISTED).itertuples(), strict=False)
    ]
    return Section(
        "Where people are",
        "As far as addresses tell: the country only of public ones, the host only as this machine knows it.",
        listings=[
            Listing(
                "By network",
                ("network", "range", "country", "addresses", "messages"),
                [
                    (row.network, row.range, row.country, f"{row.addresses:,}", f"{row.messages:,}")
                    for row in networks.head(LISTED).itertuples()
                ],
            ),
            Listing(
                "By address",
                ("address", "host", "range", "country", "names", "messages", "share"),
                addresses,
            ),
        ],
    )


def _rows(numbers: pd.Series[int]) -> list[tuple[str, ...]]:
    return [(str(name), f"{number:,}") for name, number in numbers.head(LISTED).items()]


STEPS = 8
PICTURES = {
    *("messages-per-minute", "messages-per-hour", "messages-per-day", "connected", "weekday-by-hour"),
    *("calendar", "messages-by-name", "who-answers-whom", "words", "languages"),
}
SECTIONS = (_messages, _online, _rhythm, _people, _talk, _words, _languages, _places)


# ---------------------------------------------------------------------------------------------- the pictures


def _drawn(picture: Picture, folder: Path) -> Markup:
    """Draws it into the folder as PNG; returns it as SVG for the page, which has a heading already."""
    figure = picture.draw().get_figure(root=True)
    assert figure is not None
    svg = io.StringIO()
    with plots.style():
        figure.savefig(folder / f"{picture.name}.png", dpi=PNG_DOTS, metadata={"Title": picture.alternative})
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(svg, format="svg", transparent=True, metadata=nothing)
    return _in_page(svg.getvalue(), picture)


def _in_page(svg: str, picture: Picture) -> Markup:
    """The SVG with the page's colours, ids of its own, and its words for who can't see it."""
    svg = svg[svg.index("<svg") :]
    for name, colour in plots.COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{picture.name}-", svg)
    label = Markup('<svg role="img" aria-label="{}"').format(picture.alternative)
    return Markup(label + Markup(re.sub(r'^<svg|\s(?:width|height)="[\d.]+pt"', "", svg, count=3)))
