"""A table in, matplotlib Axes out: one function a picture.

    plots.messages(tables.messages_per_minute(records)).figure.savefig("messages.png")

Each draws into the Axes it is given, or into a new figure. The colours are few, and each has one task, so
that the page can exchange them for those of a dark screen.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from typing import ParamSpec
from unicodedata import east_asian_width

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from analytics.fonts import families
from analytics.tables import MILLISECONDS, Per
from analytics.wording import MONTHS, WEEKDAYS

# Text against white at least 4.5:1, bars and lines 3:1.
INK, MUTED, GRID, ACCENT, PALE, SECOND = "#1f2933", "#56626e", "#dfe4ea", "#2563c9", "#6b93dc", "#b84a0c"
COLOURS = {"ink": INK, "muted": MUTED, "grid": GRID, "accent": ACCENT, "pale": PALE, "second": SECOND}

WIDTH = 8.0  # inches: what a page's column holds
COLUMNS = 800  # more points than this side by side can't be told apart
BARS = 15  # as many names as one picture takes; the tables have more
# Over how many bins an average goes: the first that can still be seen as a curve.
AVERAGED: dict[Per, tuple[tuple[int, str], ...]] = {
    "minute": ((15, "15 minutes"), (60, "an hour"), (1440, "a day"), (10_080, "a week"), (43_200, "30 days")),
    "hour": ((24, "a day"), (168, "a week"), (720, "30 days")),
    "day": ((7, "a week"), (30, "30 days")),
}
SMALLEST = 1e-9  # instead of nothing, to divide by
CALENDAR_YEARS = 3  # the last ones; older days are in the picture of all days

LABEL = 24  # columns of a terminal: as much of a name or a word as leaves room for the picture

P = ParamSpec("P")


@cache
def _style() -> dict[str, object]:
    return {
        "font.family": families(),
        "font.size": 10,
        "text.parse_math": False,  # a name may be a$\frac$
        "text.color": INK,
        "axes.labelcolor": MUTED,
        "axes.edgecolor": GRID,
        "axes.titlelocation": "left",
        "axes.titlesize": 12,
        "axes.titleweight": "bold",
        "axes.titlepad": 12,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "grid.color": GRID,
        "grid.linewidth": 0.8,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "ytick.left": False,
        "legend.frameon": False,
        "lines.linewidth": 1.6,
        "lines.solid_joinstyle": "round",
        "svg.fonttype": "none",  # the page's reader has fonts for emoji that matplotlib can't draw
        "svg.hashsalt": "history",  # the same picture is the same file
    }


@contextmanager
def style() -> Iterator[None]:
    """The look of the pictures. Whoever saves a figure needs it too: fonts are looked up on drawing."""
    with mpl.rc_context(_style()), warnings.catch_warnings():  # type: ignore[arg-type]
        warnings.filterwarnings("ignore", "Glyph")  # no font has it; it is drawn as a box
        yield


def shortened(text: str, columns: int = LABEL) -> str:
    """As much of the text as fits so many columns, a wide character taking two, with "…" for the rest."""
    used = 0
    for place, character in enumerate(text):
        used += 2 if east_asian_width(character) in "WF" else 1
        if used > columns or place >= 2 * columns:  # marks that combine take no column
            return text[: max(place - 1, 1)] + "…"
    return text


def _styled(draw: Callable[P, Axes]) -> Callable[P, Axes]:
    @wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Axes:
        with style():
            return draw(*args, **kwargs)

    return styled


def _new_axes(height: float) -> Axes:
    """Axes in a figure of their own, `height` inches high."""
    return Picture(figsize=(WIDTH, height), layout="constrained").subplots()


class Picture(Figure):
    """A figure that a notebook shows as the value of a cell, with or without %matplotlib inline."""

    def _repr_png_(self) -> bytes:
        written = io.BytesIO()
        with style():
            self.savefig(written, format="png")
        return written.getvalue()


# --------------------------------------------------------------------------------------------- along the time


@_styled
def messages(counts: pd.Series[int], axes: Axes | None = None) -> Axes:
    """Messages per minute, hour or day (as `messages_per` gives them), with a moving average.

    What can't be told apart is put together: then a column reaches up to the busiest of its bins.
    """
    axes = axes or _new_axes(3.0)
    per: Per = counts.index.name
    axes.set_title(f"Messages per {per}")
    if len(counts):
        _draw_bins(axes, counts, per)
        axes.legend(loc="lower right", ncols=2, borderaxespad=0, bbox_to_anchor=(1, 1.02))
    axes.set_ylim(0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    return axes


def _draw_bins(axes: Axes, counts: pd.Series[int], per: Per) -> None:
    step = _step(counts)
    times, columns = _thinned(counts, np.maximum)
    end = _moments(counts.index[-1:]) + np.timedelta64(MILLISECONDS[per], "ms")
    every = f"busiest {per} of {step}" if step > 1 else f"in a {per}"
    axes.stairs(columns, np.append(times, end), fill=True, color=PALE, linewidth=0, label=every)
    window, name = next(each for each in AVERAGED[per] if each[0] >= step or each is AVERAGED[per][-1])
    if len(counts) > 2 * window:
        average = counts.rolling(window, center=True).mean()
        axes.plot(*_thinned(average, np.add), color=ACCENT, label=f"average over {name}")
    _time_axis(axes, counts.index, end)


def _step(series: pd.Series[float]) -> int:
    """How many neighbours make one point, so that there are no more than COLUMNS."""
    return max(1, -(-len(series) // COLUMNS))


def _thinned(
    series: pd.Series[float], combine: np.ufunc
) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
    """At most COLUMNS points: of as many neighbours as it takes the biggest, or with np.add the mean."""
    starts = np.arange(0, len(series), _step(series))
    values = combine.reduceat(series.to_numpy(float), starts)
    if combine is np.add:
        values /= np.diff(starts, append=len(series))
    return _moments(series.index)[starts], values


def _moments(index: pd.Index[pd.Timestamp]) -> NDArray[np.datetime64]:
    """The times as matplotlib takes them: UTC, or dates as they are."""
    times = pd.DatetimeIndex(index)
    moments: NDArray[np.datetime64] = (times.tz_convert(None) if times.tz else times).to_numpy()
    return moments


# Times that some zone can't express can't be labelled. Only a mistyped year goes so far.
_FIRST_DATE, _LAST_DATE = dates.date2num(np.array(["0002-01-01", "9998-12-31"], "M8[D]"))
_A_MINUTE = 1 / (24 * 60)  # of the days in which matplotlib counts


def _time_axis(axes: Axes, index: pd.Index[pd.Timestamp], end: NDArray[np.datetime64]) -> None:
    zone = pd.DatetimeIndex(index).tz
    locator = dates.AutoDateLocator(tz=zone, minticks=4, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    formatter = dates.ConciseDateFormatter(locator, tz=zone)
    formatter.formats[2] = "%d %b"  # a day alone could be any month's
    formatter.zero_formats[3] = "%d %b"
    formatter.offset_formats = ["", "%Y", "%Y", "%d %b %Y", "%d %b %Y", "%d %b %Y, %H:%M"]
    axes.xaxis.set_major_formatter(formatter)
    start, last = dates.date2num(_moments(index[:1]))[0], dates.date2num(end)[0]
    margin = max((last - start) / 100, _A_MINUTE)
    axes.set_xlim(max(start - margin, _FIRST_DATE), min(last + margin, _LAST_DATE))


@_styled
def online(curve: pd.Series[int], axes: Axes | None = None) -> Axes:
    """How many were connected (as `online` gives it, in UTC or a zone), with the peak marked."""
    axes = axes or _new_axes(2.3)
    axes.set_title("Connected")
    shown = _peaks(curve)
    times = _moments(shown.index)
    axes.fill_between(times, shown.to_numpy(), step="post", color=PALE, linewidth=0)
    axes.step(times, shown.to_numpy(), where="post", color=ACCENT, linewidth=1)
    if len(curve):
        _time_axis(axes, curve.index, times[-1:])
        peak = _moments(curve.index[[int(curve.to_numpy().argmax())]])
        axes.plot(peak, [curve.max()], "o", color=SECOND, markersize=5, zorder=3)
        axes.annotate(
            f"{curve.max()} at once", (peak[0], curve.max()), (6, 5), textcoords="offset points", color=SECOND
        )
    axes.set_ylim(0, max(1, curve.max() if len(curve) else 0) * 1.18)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    return axes


@_styled
def active(people: pd.Series[int], axes: Axes | None = None) -> Axes:
    """How many people said something in each day, week or month (as `habits.active_people` gives it)."""
    axes = axes or _new_axes(2.0)
    span = str(people.index.name)
    axes.set_title(f"Active people per {span}")
    if len(people):
        times, most = _thinned(people, np.maximum)
        end = _moments(people.index[-1:]) + np.timedelta64({"day": 1, "week": 7}.get(span, 30), "D")
        axes.stairs(most, np.append(times, end), fill=True, color=PALE, linewidth=0)
        _time_axis(axes, people.index, end)
    axes.set_ylim(0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    return axes


def _peaks(curve: pd.Series[int]) -> pd.Series[int]:
    """The curve with as many points as can be seen: the most and the last of each stretch of time."""
    if len(curve) <= 2 * COLUMNS:
        return curve
    stretch = np.floor(np.linspace(0, COLUMNS, len(curve), endpoint=False))
    groups = curve.reset_index(drop=True).groupby(stretch)
    keep = np.union1d(groups.idxmax(), groups.tail(1).index)
    return curve.iloc[keep]


# ------------------------------------------------------------------------------------------------ rhythm


@_styled
def weekday_by_hour(table: pd.DataFrame, axes: Axes | None = None) -> Axes:
    """On which weekdays and in which hours people talk: the stronger the colour, the more."""
    axes = axes or _new_axes(2.5)
    axes.set_title("Weekday by hour")
    _cells(axes, table.to_numpy(), np.arange(24), np.arange(7))
    axes.set_yticks(range(7), WEEKDAYS)
    axes.set_xticks(range(0, 24, 3), [f"{hour}:00" for hour in range(0, 24, 3)])
    return axes


@_styled
def calendar(per_day: pd.Series[int], axes: Axes | None = None) -> Axes:
    """Every day of the last years as a cell: a row of weeks each year, Monday on top."""
    days = pd.DatetimeIndex(per_day.index)
    years = sorted(set(days.year))[-CALENDAR_YEARS:]
    axes = axes or _new_axes(0.7 + 1.15 * max(len(years), 1))
    axes.set_title("Calendar")
    for place, year in enumerate(years):
        chosen = days.year == year
        january = pd.Timestamp(year=year, month=1, day=1)
        week = ((days[chosen] - january).days + january.weekday()) // 7
        top = 8 * place
        table = np.full((7, 53 + 1), np.nan)
        table[days[chosen].day_of_week, week] = per_day.to_numpy()[chosen]
        _cells(axes, table, np.arange(54), top + np.arange(7), of=per_day.max())
    axes.set_yticks([8 * place + 3 for place in range(len(years))], [f"{year:04}" for year in years])
    firsts = pd.date_range("2024-01-01", periods=12, freq="MS").day_of_year
    axes.set_xticks([(first - 1) / 7 + 1.5 for first in firsts], MONTHS)
    axes.set_aspect("equal")
    return axes


def _cells(
    axes: Axes,
    table: NDArray[np.number],
    x: NDArray[np.integer],
    y: NDArray[np.integer],
    of: float | None = None,
) -> None:
    """A square for each number, the more opaque the nearer it is to the biggest (or to `of`)."""
    most = max(of if of is not None else np.nanmax(table, initial=0), SMALLEST)
    for row, column in np.argwhere(~np.isnan(table.astype(float))):
        part = table[row, column] / most
        axes.add_patch(_square(x[column], y[row], part))
    axes.set_xlim(x[0] - 0.6, x[-1] + 0.6)
    axes.set_ylim(y[-1] + 0.6, min(axes.get_ylim()[1], -0.6))
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def _square(x: float, y: float, part: float) -> Rectangle:
    colour, opacity = (ACCENT, 0.15 + 0.85 * part) if part else (GRID, 0.6)
    return Rectangle((x - 0.45, y - 0.43), 0.9, 0.86, facecolor=colour, alpha=opacity, linewidth=0)


# ---------------------------------------------------------------------------------------------- who and what


@_styled
def bars(numbers: pd.Series[float], title: str, unit: str = "", axes: Axes | None = None) -> Axes:
    """The first of a list of numbers as bars with their names on the left, the number at the end."""
    shown = numbers.iloc[:BARS]
    axes = axes or _new_axes(0.75 + 0.27 * max(len(shown), 1))
    axes.set_title(title)
    places = np.arange(len(shown))
    axes.barh(places, shown.to_numpy(float), height=0.7, color=ACCENT, alpha=0.85)
    for place, number in zip(places, shown, strict=True):
        axes.annotate(
            f"{number:,.0f}{unit}",
            (number, place),
            (4, 0),
            textcoords="offset points",
            va="center",
            color=MUTED,
        )
    axes.set_yticks(places, [shortened(str(name)) for name in shown.index], color=INK)
    axes.set_ylim(max(len(shown), 1) - 0.4, -0.6)
    axes.set_xlim(0, max(shown.max() if len(shown) else 0, 1) * 1.08)
    axes.grid(visible=False)
    axes.xaxis.set_visible(False)
    axes.spines[:].set_visible(False)
    return axes


@_styled
def who_answers_whom(table: pd.DataFrame, axes: Axes | None = None) -> Axes:
    """Who (rows) answers whom (columns): the stronger the colour, the more often."""
    axes = axes or _new_axes(1.3 + 0.3 * max(len(table), 1))
    axes.set_title("Who answers whom")
    names = [shortened(str(name)) for name in table.index]
    places = np.arange(max(len(names), 1))
    _cells(axes, table.to_numpy().reshape(len(names), len(names)), places, places)
    axes.set_yticks(range(len(names)), names, color=INK)
    axes.set_xticks(range(len(names)), names, color=INK, rotation=35, ha="right", rotation_mode="anchor")
    return axes
