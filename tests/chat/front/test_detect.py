"""Who speaks, going by the first bytes (R50)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.front.detect import MORE_BYTES, front_of, is_request_line

METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PRI", "PROPFIND", "x-y", "M-SEARCH"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "RTSP/1.0"])
@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_a_request_line_is_a_browser(method: str, version: str, end: str) -> None:
    assert front_of(f"{method} /x?y=z {version}{end}Host: here\r\n".encode()) == "http"


@pytest.mark.parametrize(
    "line",
    ["alice", "", "GET", "POST", "/session", "/password two words here", "hello out there", "HTTP/1.1", "é"],
)
def test_a_line_is_a_person(line: str) -> None:
    assert front_of(f"{line}\n".encode()) == "lines"


def test_tls_is_known_by_its_first_byte() -> None:
    assert front_of(b"\x16") == "tls"


def test_what_a_page_can_send_by_webrtc_is_nobody() -> None:
    """A STUN message to a TURN server has room for a text of the page's choice: lines, for instance."""
    message = b"\x00\x03\x00\x20\x21\x12\xa4\x42" + bytes(12) + b"\x00\x06\x00\x0bx\nmallory\nclear\n"
    assert front_of(message) == "stun"
    assert front_of(message[:6]) is None


@given(st.sampled_from(METHODS), st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_no_beginning_of_a_request_is_a_person(method: str, path: str) -> None:
    whole = f"{method} /{path} HTTP/1.1\r\n".encode()
    for cut in range(len(whole)):
        assert front_of(whole[:cut]) != "lines"
    assert front_of(whole) == "http"


def test_an_endless_request_line_is_a_browser() -> None:
    assert front_of(b"POST /" + b"a" * MORE_BYTES) == "http"
    assert front_of(b"a" * 2 * MORE_BYTES) is None  # a name without end; the login says what is wrong


def test_a_line_of_spaces_takes_no_time() -> None:
    assert not is_request_line(b"GET" + b" " * 1_000_000 + b"/")
