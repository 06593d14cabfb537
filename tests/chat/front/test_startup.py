"""What the server is started with, and the sentences if it can't be had."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest

from chat.front.startup import CannotStart, password, possible, why_not_listening


def test_a_password_is_the_first_line_of_a_private_file(tmp_path: Path) -> None:
    file = tmp_path / "door.txt"
    file.write_text("sesame \nand a comment\n")
    file.chmod(0o600)
    assert password(file) == "sesame"
    assert password(None) == ""


@pytest.mark.parametrize(("content", "why"), [(b"\n", "empty first line"), (b"\xff\xfe", "not UTF-8")])
def test_a_password_file_that_has_none_gets_a_sentence(content: bytes, why: str, tmp_path: Path) -> None:
    file = tmp_path / "door.txt"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(CannotStart, match=why):
        password(file)
    with pytest.raises(CannotStart, match="can't be read"):
        password(tmp_path / "nowhere.txt")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (OSError(errno.EADDRINUSE, ""), "port 9999 of here is in use"),
        (OSError(errno.EACCES, ""), "above 1023"),
        (UnicodeError(), "here is not an address"),
    ],
)
def test_why_it_can_t_listen(error: OSError | UnicodeError, why: str) -> None:
    assert why in why_not_listening("here", 9999, error)


def test_as_many_clients_as_the_system_can_watch() -> None:
    assert possible(10_000) == (10_000 if sys.platform != "win32" else 500)
