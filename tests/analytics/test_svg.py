"""A picture in the page: colours are the page's, text is nobody's."""

from __future__ import annotations

from analytics.svg import in_page

DRAWN = """<?xml version="1.0"?>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="10pt" height="5pt">
<!-- #2563c9 -->
<g id="a" style="fill: #2563c9; clip-path: url(#p)" clip-path="url(#p)"><use xlink:href="#m"/></g>
<text>#2563c9 url(#q id="x &lt;b&gt;</text></svg>"""


def test_only_attributes_change() -> None:
    svg = in_page(DRAWN, "one", 'a "label" <b>', {"accent": "#2563c9"})
    assert 'id="one-a"' in svg
    assert 'style="fill: var(--accent); clip-path: url(#one-p)"' in svg
    assert 'clip-path="url(#one-p)"' in svg
    assert 'href="#one-m"' in svg
    assert '<text>#2563c9 url(#q id="x &lt;b&gt;</text>' in svg
    assert 'aria-label="a &quot;label&quot; &lt;b&gt;"' in svg
    assert "width" not in svg
    assert "<!--" not in svg


def test_control_characters_in_a_name_break_no_picture() -> None:
    drawn = DRAWN.replace("#q", "\x00\x1b\x07\x9b\ufffe\ud800 李😀")
    assert "url(\ufffd\ufffd\ufffd\x9b\ufffd\ufffd 李😀" in in_page(drawn, "one", "label", {})
