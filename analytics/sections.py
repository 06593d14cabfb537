"""The parts of the page, in the order in which somebody wants to know them: pictures and lists with words."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analytics import conversations, habits, page, places, plots, tables, wording, words
from analytics.findings import Findings
from analytics.habits import Span
from analytics.languages import UNKNOWN
from analytics.summary import Summary
from analytics.tables import Per

LISTED = 15  # rows of a list on the page; in a notebook a table has them all
# Besides the bins that were asked for, coarser ones, and from how many minutes on they show something new.
COARSER: dict[Per, tuple[tuple[Per, int], ...]] = {
    "minute": (("hour", 12 * 60), ("day", 3 * 24 * 60)),
    "hour": (("day", 3 * 24 * 60),),
    "day": (),
}
SPANS: tuple[tuple[Span, int], ...] = (("day", 120), ("week", 800), ("month", 10**9))  # up to so many days


@dataclass(frozen=True)
class Report:
    """What a report is made of."""

    findings: Findings
    summary: Summary


@dataclass(frozen=True)
class Picture:
    """A picture: its file name without ending, how to draw it, and what one sees in it.

    `live` is the script's name for it; `bars` are the numbers of one that stays the same all the time.
    """

    name: str
    draw: Callable[[], Axes]
    caption: str
    live: str = ""
    bars: str = ""
    thing: str = ""


@dataclass(frozen=True)
class Column:
    """A column's head, and whether numbers stand in it."""

    title: str
    number: bool = False


@dataclass(frozen=True)
class Listing:
    """A table with a title; its cells are text. Without an id it is of the whole time, whatever is chosen."""

    title: str
    columns: list[Column]
    rows: list[tuple[str, ...]]
    id: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page. `whole`: its sentence is of the whole time, whichever days are chosen."""

    id: str
    title: str
    sentence: str = ""
    pictures: list[Picture] = field(default_factory=list)
    listings: list[Listing] = field(default_factory=list)
    whole: bool = False


def _columns(*titles: str) -> list[Column]:
    """Columns of which all have numbers whose title begins with "#"."""
    return [Column(title.removeprefix("#"), title.startswith("#")) for title in titles]


def _rows(numbers: pd.Series[int]) -> list[tuple[str, ...]]:
    return [(str(name), f"{number:,}") for name, number in numbers.head(LISTED).items()]


# ---------------------------------------------------------------------------------------------- the sections


def _messages(report: Report) -> Section:
    """The headline, this week beside the last, and coarser views where the time is long enough for them."""
    summary, findings = report.summary, report.findings
    pictures = [_messages_picture(findings.counts, "messages")]
    for per, minutes in COARSER[findings.counts.index.name]:
        if summary.rate.minutes > minutes:
            pictures.append(_messages_picture(findings.per(per), "steps" if per == "day" else ""))
    assert summary.last is not None
    weeks = habits.weeks(findings.said, summary.last, findings.zone)
    rows = [
        (name, *(f"{value:,}" for value in row)) for name, row in zip(weeks.index, weeks.values, strict=True)
    ]
    return Section(
        "messages",
        "How much is said",
        _change(*weeks["messages"]),
        pictures,
        [Listing("This week", _columns("", "#messages", "#people", "#days with messages"), rows, "weeks")],
    )


def _change(now: int, before: int) -> str:
    if not before:
        return f"{wording.counted(now, 'message')} in the last seven days."
    change = (now - before) / before
    words = f"{abs(change):.0%} {'more' if change > 0 else 'less'} than" if round(change, 2) else "as many as"
    return f"{wording.counted(now, 'message')} in the last seven days, {words} in the seven before."


def _messages_picture(counts: pd.Series[int], live: str = "") -> Picture:
    per = counts.index.name
    caption = f"Messages per {per} over time: at most {counts.max():,}, on average {counts.mean():.3g}."
    return Picture(f"messages-per-{per}", lambda: plots.messages(counts), caption, live)


def _people(report: Report) -> Section:
    findings = report.findings
    names = findings.people
    runs, edges = findings.streaks, findings.first_and_last_words
    lasted = findings.time_connected
    rows: list[tuple[str, ...]] = []
    for name, row in islice(zip(names.index, names.itertuples(), strict=True), LISTED):
        opened, closed = edges.loc[name] if name in edges.index else (0, 0)
        rows.append(
            (
                str(name),
                *(
                    f"{row.messages:,}",
                    f"{row.share:.1%}",
                    f"{row.words:,}",
                    f"{row.words / row.messages:.1f}",
                ),
                wording.span(lasted.get(name, pd.Timedelta(0))),
                *(
                    f"{runs.loc[name, 'days']:,}",
                    f"{runs.loc[name, 'streak']:,}",
                    f"{opened:,}",
                    f"{closed:,}",
                ),
            )
        )
    first = str(names.index[0])
    longest = f"{runs.index[0]} has the longest streak, {wording.counted(int(runs['streak'].iloc[0]), 'day')}"
    columns = _columns(
        *("name", "#messages", "#share", "#words", "#words a message", "#connected"),
        *("#days", "#longest streak", "#first of a day", "#last"),
    )
    return Section(
        "people",
        "Who talks",
        f"{longest} with something to say each day.",
        [
            Picture(
                "messages-by-name",
                lambda: plots.bars(names["messages"], "Messages by person"),
                f"{first} said most, {wording.counted(int(names['messages'].iloc[0]), 'message')}.",
                "people",
            )
        ],
        [Listing("People", columns, rows, "by-person")],
        whole=True,
    )


def _rhythm(report: Report) -> Section:
    table = report.findings.weekday_by_hour
    weekday, hour = divmod(int(np.nanargmax(table.to_numpy())), 24)
    caption = (
        f"Most is said on {wording.WEEKDAYS[weekday]} from {hour}:00 to {hour + 1}:00, "
        f"{table.iloc[weekday, hour]:,.1f} messages on average."
    )
    pictures = [Picture("weekday-by-hour", lambda: plots.weekday_by_hour(table), caption, "rhythm")]
    days = report.findings.per("day")
    if len(days) > 14:
        shown = f"The stronger a day's colour, the more was said, at most {days.max():,}."
        live = "calendar" if len(days) < page.STEPS else ""
        pictures.append(Picture("calendar", lambda: plots.calendar(days), shown, live))
    return Section("rhythm", "When people talk", "", pictures)


def _online(report: Report) -> Section:
    findings, summary = report.findings, report.summary
    connected, lasted = findings.connected, findings.time_connected
    curve = findings.online.tz_convert(findings.zone)
    days = len(findings.per("day"))
    span = next(name for name, most in SPANS if days <= most)
    active = habits.active_people(findings.said, span, findings.zone)
    return Section(
        "online",
        "Who is there",
        f"{wording.counted(len(connected), 'connection')} of {wording.counted(len(lasted), 'person')}, "
        f"at most {summary.most_online:,} at once.",
        [
            Picture(
                "active-people",
                lambda: plots.active(active),
                f"How many people said something in each {span}: at most {active.max():,}.",
                "active" if span == "day" else "",
            ),
            Picture(
                "connected",
                lambda: plots.online(curve),
                f"How many were connected over time: at most {summary.most_online:,} at once.",
                "online",
            ),
        ],
        [
            Listing(
                "Time connected",
                _columns("name", "#time"),
                [(str(name), wording.span(length)) for name, length in lasted.head(LISTED).items()],
                "time-connected",
            )
        ],
        whole=True,
    )


def _talk(report: Report) -> Section:
    findings = report.findings
    talks, answered = findings.conversations, findings.answers
    length, messages = (talks["end"] - talks["start"]).median(), talks["messages"].median()
    sentence = f"A silence of {wording.span(conversations.SILENCE)} ends a conversation; there was 1."
    if len(talks) > 1:
        sentence = (
            f"{wording.counted(len(talks), 'conversation')}, which a silence of "
            f"{wording.span(conversations.SILENCE)} ends; half of them last {wording.span(length)} or longer "
            f"and have {wording.counted(int(messages), 'message')} or more."
        )
    matrix = conversations.who_answers_whom(answered)
    starters = tables.most_first(talks["starter"].value_counts())
    longest = talks.nlargest(LISTED, "messages")
    return Section(
        "talk",
        "Who talks with whom",
        sentence,
        [
            Picture(
                "who-answers-whom",
                lambda: plots.who_answers_whom(matrix),
                "Who answers (rows) whom (columns): the stronger the colour, the more often.",
                "answers",
            )
        ]
        if len(matrix)
        else [],
        [
            Listing("Who starts conversations", _columns("name", "#conversations"), _rows(starters)),
            Listing(
                "Time to answer",
                _columns("name", "#answers", "#half of them within"),
                [
                    (str(name), f"{row.answers:,}", wording.span(row.median))
                    for name, row in _head(findings.time_to_answer)
                ],
            ),
            Listing(
                "Mentions",
                _columns("who", "whom", "#times"),
                [(row.name, row.mentioned, f"{row.times:,}") for _, row in _head(findings.mentions)],
            ),
            Listing(
                "The longest conversations",
                _columns("begins", "#lasts", "#messages", "#people", "begun by"),
                [
                    (
                        wording.moment(row.start, findings.zone),
                        wording.span(row.end - row.start),
                        f"{row.messages:,}",
                        f"{row.people:,}",
                        row.starter,
                    )
                    for row in longest.itertuples()
                ],
                "conversations",
            ),
        ],
        whole=True,
    )


def _head(table: pd.DataFrame) -> list[tuple[Any, Any]]:
    """The first rows, with their index."""
    shown = table.head(LISTED)
    return list(zip(shown.index, shown.itertuples(index=False), strict=True))


def _words(report: Report) -> Section:
    findings = report.findings
    common, said, links = findings.common_languages, findings.words, findings.links
    return Section(
        "words",
        "What is said",
        "Without the stop words of the languages found." if common else "",
        [
            Picture(
                "words",
                lambda: plots.bars(said, "Words"),
                f"The words said most: {', '.join(plots.shortened(str(word)) for word in said.index[:5])}.",
                *("words", _bars(said), "time"),
            )
        ]
        if len(said)
        else [],
        [
            Listing("Emoji", _columns("emoji", "#times"), _rows(findings.emoji)),
            Listing("Links", _columns("link", "#times"), _rows(links)),
            Listing("Sites", _columns("site", "#times"), _rows(words.sites(links))),
        ],
    )


def _languages(report: Report) -> Section:
    found = report.findings.languages
    shares = ", ".join(f"{code} {number / found.sum():.0%}" for code, number in found.head(4).items())
    return Section(
        "languages",
        "Languages",
        f"A text that is too short, or could be in several languages, is {UNKNOWN}.",
        [
            Picture(
                "languages",
                lambda: plots.bars(found, "Messages by language"),
                f"Messages by language: {shares}.",
                *("languages", _bars(found), "message"),
            )
        ],
    )


def _bars(numbers: pd.Series[int]) -> str:
    return json.dumps([[str(name), int(number)] for name, number in numbers.head(LISTED).items()])


def _places(report: Report) -> Section:
    findings = report.findings
    table = findings.places
    networks = places.networks(table)
    shares = findings.addresses["share"].reindex(table.index, fill_value=0.0)
    addresses: list[tuple[str, ...]] = [
        (address, row.host, row.range, row.country, f"{row.names:,}", f"{row.messages:,}", f"{share:.1%}")
        for (address, row), share in zip(_head(table), shares, strict=False)
    ]
    return Section(
        "places",
        "Where people are",
        "As far as addresses tell: the country only of public ones, the host only as this machine knows it.",
        listings=[
            Listing(
                "By network",
                _columns("network", "range", "country", "#addresses", "#messages"),
                [
                    (row.network, row.range, row.country, f"{row.addresses:,}", f"{row.messages:,}")
                    for _, row in _head(networks)
                ],
            ),
            Listing(
                "By address",
                _columns("address", "host", "range", "country", "#people", "#messages", "#share"),
                addresses,
            ),
        ],
    )


SECTIONS = (_messages, _people, _rhythm, _online, _talk, _words, _languages, _places)
