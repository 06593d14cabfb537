"""The pictures, drawn for real."""

from __future__ import annotations

import io
from collections.abc import Callable
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from matplotlib import dates
from matplotlib.axes import Axes

from analytics import conversations, plots, tables
from analytics.online import connections, online
from analytics.tables import Per
from tests.analytics.histories import WEEK, line, records, utc

HARD_NAMES = ["_bob", r"a$\frac$", "$x", "🦊", "李雷", "שלום", "a^b_c", "%s", "100%"]
HISTORIES = {
    "nothing": records(),
    "one record": records(line("10:00", "a")),
    "one minute": records(*(line(f"10:00:{second:02}", "a") for second in range(0, 60, 5))),
    "a week": records(WEEK),
    "ten years": records(line("2016-11-21 10:00", "a"), line("2026-11-21 10:00", "b")),
    "all of time": records(line("0001-01-01 00:00", "a"), line("9999-12-31 23:59", "b")),
}
PICTURES: dict[str, Callable[[pd.DataFrame], Axes]] = {
    "messages": lambda each: plots.messages(tables.messages_per(each, "day")),
    "online": lambda each: plots.online(online(connections(each))),
    "weekday_by_hour": lambda each: plots.weekday_by_hour(tables.weekday_by_hour(each)),
    "calendar": lambda each: plots.calendar(tables.messages_per(each, "day")),
    "bars": lambda each: plots.bars(tables.by_name(each)["messages"], "By name"),
    "who_answers_whom": lambda each: plots.who_answers_whom(
        conversations.who_answers_whom(conversations.answers(each))
    ),
}


def drawn(axes: Axes) -> str:
    """The picture as SVG, in which the text can be read; PNG must work too."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    svg = io.StringIO()
    with plots.style():
        figure.savefig(io.BytesIO(), format="png")
        figure.savefig(svg, format="svg")
    return svg.getvalue()


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("picture", PICTURES)
def test_every_picture_of_every_history(picture: str, history: str) -> None:
    assert "<svg" in drawn(PICTURES[picture](HISTORIES[history]))


@pytest.mark.parametrize("name", HARD_NAMES)
def test_a_name_is_drawn_as_it_is(name: str) -> None:
    assert f">{name}</text>" in drawn(plots.bars(pd.Series({name: 3}), "Messages by name"))


def test_a_picture_can_be_drawn_into_other_axes() -> None:
    axes = plots.bars(pd.Series({"a": 1}), "one")
    assert plots.bars(pd.Series({"b": 2}), "two", axes=axes) is axes


@pytest.mark.parametrize(("per", "bins"), [("minute", 525_600), ("hour", 8_760)])
def test_long_spans_are_thinned_out_and_keep_their_peak(per: Per, bins: int) -> None:
    start = pd.date_range(
        "2026-01-01", periods=bins, freq="min" if per == "minute" else "h", tz="UTC", name=per
    )
    counts = pd.Series(1, index=start)
    counts.iloc[bins // 3] = 77
    axes = plots.messages(counts)
    columns = axes.patches[0].get_data().values  # type: ignore[attr-defined]
    assert len(columns) <= plots.COLUMNS
    assert columns.max() == 77
    assert all(len(each.get_xdata()) <= plots.COLUMNS for each in axes.lines)  # type: ignore[arg-type]


def test_a_long_curve_is_thinned_out_and_keeps_its_peak() -> None:
    curve = pd.Series([1, 2] * 50_000, index=pd.date_range("2026-01-01", periods=100_000, freq="s", tz="UTC"))
    curve.iloc[33_333] = 99
    axes = plots.online(curve)
    assert len(axes.lines[0].get_xdata()) <= 3 * plots.COLUMNS  # type: ignore[arg-type]
    assert max(axes.lines[0].get_ydata()) == 99  # type: ignore[arg-type, type-var]
    assert "99 at once" in drawn(axes)


def test_times_are_shown_in_the_zone() -> None:
    zone = ZoneInfo("Asia/Tokyo")
    axes = plots.messages(
        tables.messages_per(records(line("10:00", "a"), line("12:00", "a")), "minute", zone)
    )
    assert ">20:00</text>" in drawn(axes)
    assert dates.num2date(axes.dataLim.x1).replace(second=0, microsecond=0) <= utc("12:01")


def test_the_calendar_has_the_last_years() -> None:
    days = pd.Series(1, index=pd.date_range("2020-01-01", "2026-12-31", name="day"))
    svg = drawn(plots.calendar(days))
    assert [year for year in range(2020, 2027) if f">{year}</text>" in svg] == [2024, 2025, 2026]
