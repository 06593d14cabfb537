"""Tables and pictures become one page that opens anywhere: no other file, no network, no script.

The pictures stand in the page as SVG, in the page's colours, so that they follow a dark screen; their text
stays text. Beside the page they lie as PNG, to be sent or printed.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from analytics import conversations, online, places, plots, tables, wording, words
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
LANGUAGE_SHARE = 0.03  # of the messages: rarer ones are as likely a mistake, and their stop words too


@dataclass(frozen=True)
class Findings:
    """What a report is made of: the chosen records and connections, and what is known of them already."""

    records: pd.DataFrame
    connected: pd.DataFrame
    skipped: pd.DataFrame
    summary: Summary
    counts: pd.Series[int]  # messages per minute, or what else was asked for
    languages: pd.Series[int]
    files: list[str]
    zone: tzinfo
    resolve: bool = False


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


def write_report(findings: Findings, folder: Path, progress: Callable[[], None] | None = None) -> Path:
    """Writes index.html and the pictures into the folder, which is made; returns the page's path.

    `progress` is called after each section. Raises OSError where it can't write.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for part in SECTIONS if findings.summary.messages else ():
        section = part(findings)
        parts.append((section, [(each, _drawn(each, folder)) for each in section.pictures]))
        if progress:
            progress()
    page = folder / "index.html"
    page.write_text(_render(findings, parts), "utf-8")
    return page


def _render(findings: Findings, parts: list[tuple[Section, list[tuple[Picture, Markup]]]]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html").render(
        facts=wording.facts(findings.summary, findings.zone),
        period=wording.period(findings.summary, findings.zone),
        files=findings.files,
        skipped=wording.skipped_lines(findings.skipped),
        parts=parts,
        colours=plots.COLOURS,
    )


# ---------------------------------------------------------------------------------------------- the sections


def _messages(findings: Findings) -> Section:
    """The headline, and coarser views where the time is long enough for them."""
    summary, zone, counts = findings.summary, findings.zone, findings.counts
    pictures = [_messages_picture(counts)]
    for per, minutes in COARSER[counts.index.name]:
        if summary.rate.minutes > minutes:
            pictures.append(_messages_picture(tables.messages_per(findings.records, per, zone)))
    return Section("How much is said", pictures=pictures)


def _messages_picture(counts: pd.Series[int]) -> Picture:
    per = counts.index.name
    alternative = f"Messages per {per} over time; at most {counts.max():,}, on average {counts.mean():.3g}."
    return Picture(f"messages-per-{per}", lambda: plots.messages(counts), alternative)


def _online(findings: Findings) -> Section:
    connected, summary, zone = findings.connected, findings.summary, findings.zone
    assert summary.last is not None
    curve = online.online(connected).tz_convert(zone)
    lasted = online.time_connected(connected, summary.last)
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


def _rhythm(findings: Findings) -> Section:
    table = tables.weekday_by_hour(findings.records, findings.zone)
    weekday, hour = divmod(int(table.to_numpy().argmax()), 24)
    busiest = f"most is said on {wording.WEEKDAYS[weekday]} from {hour}:00 to {hour + 1}:00"
    pictures = [
        Picture("weekday-by-hour", lambda: plots.weekday_by_hour(table), f"Weekdays by hours: {busiest}.")
    ]
    days = tables.messages_per(findings.records, "day", findings.zone)
    if len(days) > 14:
        alternative = f"A calendar; the stronger a day's colour, the more was said, at most {days.max():,}."
        pictures.append(Picture("calendar", lambda: plots.calendar(days), alternative))
    return Section("When people talk", f"{busiest[0].upper()}{busiest[1:]}.", pictures)


def _people(findings: Findings) -> Section:
    names = tables.by_name(findings.records)
    zone = findings.zone
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


def _talk(findings: Findings) -> Section:
    talks = conversations.conversations(findings.records)
    answered = conversations.answers(findings.records)
    length = (talks["end"] - talks["start"]).median()
    sentence = (
        f"{wording.counted(len(talks), 'conversation')}, half of them longer than {wording.span(length)} "
        f"and with more than {talks['messages'].median():,.0f} messages. "
        f"A silence of {wording.span(conversations.SILENCE)} ends one."
    )
    matrix = conversations.who_answers_whom(answered)
    starters = tables.most_first(talks["starter"].value_counts())
    delays = conversations.time_to_answer(answered)
    mentioned = conversations.mentions(findings.records)
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


def _words(findings: Findings) -> Section:
    spoken = findings.languages.drop(UNKNOWN, errors="ignore")
    common = spoken[spoken >= LANGUAGE_SHARE * findings.summary.messages].index
    tokens = words.tokens(findings.records)
    said = words.words(tokens, common)
    links = words.links(tokens)
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
            Listing("Emoji", ("emoji", "times"), _rows(words.emoji(tokens))),
            Listing("Links", ("link", "times"), _rows(links)),
            Listing("Sites", ("site", "times"), _rows(words.sites(links))),
        ],
    )


def _languages(findings: Findings) -> Section:
    found = findings.languages
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


def _places(findings: Findings) -> Section:
    table = places.places(findings.records, findings.resolve)
    networks = places.networks(table)
    shares = tables.by_address(findings.records)["share"].reindex(table.index, fill_value=0.0)
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
