"""The page: one file, safe with hostile text, readable by who can't see pictures."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from analytics.findings import Findings, Question
from analytics.load import read_history
from analytics.report import STEPS, write_report
from analytics.summary import summarize
from tests.analytics.histories import WEEK, line

EVIL = '<script>alert("x")</script>&"\''


def report(
    folder: Path, *lines: bytes, progress: Callable[[], None] | None = None, name: str = "history.txt"
) -> str:
    path = folder / name
    path.write_bytes(b"".join(lines))
    question = Question(zone=ZoneInfo("Europe/Berlin"))
    findings = Findings(read_history(path), question)
    return write_report(summarize(findings), findings, folder / "out", [str(path)], progress).read_text(
        "utf-8"
    )


class Page(HTMLParser):
    """What a browser would find: the tags, the ids, what is outside the page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.pictures: list[str] = []
        self.outside: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value or "")
            elif name == "aria-label" and tag == "svg":
                self.pictures.append(value or "")
            elif name in ("src", "href", "xlink:href") and not (value or "").startswith("#"):
                self.outside.append(value or "")


def test_the_page_and_its_pictures(tmp_path: Path) -> None:
    html = report(tmp_path, WEEK, b"no record\n")
    page = Page(html)
    pictures = page.tags.count("svg")
    assert page.tags.count("figure") == pictures
    assert pictures == len(list((tmp_path / "out").glob("*.png"))) >= 8
    assert len(page.pictures) == pictures
    assert all(len(label) > 20 for label in page.pictures)
    assert len(page.ids) == len(set(page.ids))
    assert page.outside == []
    assert "Europe/Berlin" in html
    assert f"{tmp_path / 'history.txt'}:505" in html
    assert "🦊fox" in html


def test_colours_follow_the_screen(tmp_path: Path) -> None:
    html = report(tmp_path, WEEK)
    pictures = "".join(re.findall("<svg.*?</svg>", html, re.DOTALL))
    assert set(re.findall(r"#[0-9a-f]{6}", pictures)) == set()
    assert "prefers-color-scheme: dark" in html


def test_what_people_write_is_text(tmp_path: Path) -> None:
    html = report(
        tmp_path,
        line("10:00", "<b>", text=f"hello {EVIL} http://x/{EVIL}"),
        line("10:01", "&amp;", text="@<b> " + EVIL * 2),
        line("10:02", "a$\\frac$"),
        b"no record\n",
        name="<img src=x onerror=alert(1)>.txt",
    )
    page = Page(html)
    assert not {"b", "img"} & set(page.tags)
    assert page.tags.count("script") == 2  # the numbers, and the page's own
    assert "&lt;b&gt;" in html
    assert "&amp;amp;" in html


def test_a_name_like_a_colour_or_an_id_stays_a_name(tmp_path: Path) -> None:
    html = report(tmp_path, *(line("10:00", name) for name in ("#2563c9", "url(#q", 'id="x', "a" * 4000)))
    still = re.findall("<svg.*?</svg>", html, re.DOTALL)
    for name in ("#2563c9", "url(#q", 'id="x', "aaaaaaaaaaaaaaaaaaaaaaa…"):
        assert any(f">{name}</text>" in svg or f">{name} </text>" in svg for svg in still), name
    assert all(len(text) < 200 for svg in still for text in re.findall("<text[^>]*>([^<]*)</text>", svg))


def test_pictures_of_an_earlier_report_are_gone(tmp_path: Path) -> None:
    report(tmp_path, WEEK)
    assert (tmp_path / "out/calendar.png").exists() is False
    assert (tmp_path / "out/messages-per-day.png").exists()
    (tmp_path / "out/mine.png").touch()
    report(tmp_path, line("10:00", "a"))
    assert not (tmp_path / "out/messages-per-day.png").exists()
    assert (tmp_path / "out/mine.png").exists()


@pytest.mark.parametrize("lines", [(), (line("10:00", "a", "join"),)])
def test_nothing_was_said(tmp_path: Path, lines: tuple[bytes, ...]) -> None:
    assert "Nothing was said." in report(tmp_path, *lines)


def test_one_message(tmp_path: Path) -> None:
    assert "svg" in report(tmp_path, line("10:00", "a"))


def test_a_folder_that_cant_be_made(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OSError, match="out"):
        report(tmp_path, line("10:00", "a"))


def test_progress_is_told_of_every_section(tmp_path: Path) -> None:
    told: list[None] = []
    report(tmp_path, line("10:00", "a"), progress=lambda: told.append(None))
    assert len(told) == STEPS
