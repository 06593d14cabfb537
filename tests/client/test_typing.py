"""The line being typed: keys in, lines out, without a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import TCP_client
from TCP_client import Editor, InputHistory, Key, Keys, Secret

UP, DOWN, LEFT, HOME = "\x1b[A", "\x1b[B", "\x1b[D", "\x1b[H"
BOUND = {
    *(chr(code) for code in range(32) if chr(code) in "\r\n\t\x01\x02\x03\x04\x05\x06\x08\x0b\x0c\x0e\x10"),
    *("\x12", "\x15", "\x17", "\x19", "\x1a", "\x1b"),
}


@pytest.fixture
def editor() -> Editor:
    """An empty line, whose words are completed with some names."""
    names = ("bob ", "bill ", "carol ")
    return Editor(
        lambda before: [name for name in names if name.startswith(before.rpartition(" ")[2])], InputHistory()
    )


def press(editor: Editor, typed: str) -> list[Key]:
    """What the screen has to do when this is typed."""
    keys = Keys()
    pressed = keys.feed(typed)
    return [done for key in [*pressed, *keys.flush()] if (done := editor.press(key))]


def test_enter_gives_the_line(editor: Editor) -> None:
    assert press(editor, "hello 李雷\r") == [Key("enter", "hello 李雷")]
    assert (editor.text, editor.cursor) == ("", 0)


@pytest.mark.parametrize(
    ("typed", "text", "cursor"),
    [
        ("abc" + LEFT + "X", "abXc", 3),
        ("abc" + HOME + "X", "Xabc", 1),
        ("one two\x17three", "one three", 9),
        ("one two\x01\x0b", "", 0),
        ("one two\x15\x19\x19", "one twoone two", 14),
        ("one two\x1bb\x1bbX", "Xone two", 1),
        ("one two\x01\x1bfX", "oneX two", 4),
        ("abc\x02\x04", "ab", 2),
        ("abc\x01\x1b[3~", "bc", 0),
        ("e\u0301\x7f", "", 0),
        ("xe\u0301" + LEFT + "y", "xye\u0301", 2),
        ("b\t", "bob ", 4),
        ("b\t\t", "bill ", 5),
        ("b\t\t\t", "bob ", 4),
        ("b\t\x1b[Z", "bill ", 5),
        ("see c\t", "see carol ", 10),
        ("z\t", "z", 1),
        ("abc\x03", "", 0),
    ],
)
def test_keys_edit_the_line(editor: Editor, typed: str, text: str, cursor: int) -> None:
    assert press(editor, typed) == []
    assert (editor.text, editor.cursor) == (text, cursor)


UNBOUND = [
    *(chr(code) for code in range(32) if chr(code) not in BOUND),
    *("\x1b" + chr(code) for code in range(128) if chr(code) not in "[O\x1bbf\x7f\x08"),
    *(f"\x1b[{number}~" for number in range(9, 35)),
    *(f"\x1b[1;{number}{letter}" for number in (2, 4, 6, 7, 8) for letter in "ABCDFHPQRS"),
    *(f"\x1bO{letter}" for letter in "PQRSMjklmnopqrstuvwxy"),
    *("\x1b[E", "\x1b[G", "\x1b[[A", "\x1b[<0;1;1M", "\x1b[24;80R", "\x1b[200;1;1t", "\x1b[?62;c"),
]


@pytest.mark.parametrize("sequence", UNBOUND, ids=ascii)
def test_what_is_not_bound_does_nothing(editor: Editor, sequence: str) -> None:
    """prompt_toolkit and readline bind much of this: Ctrl-O, Alt-Enter and Alt-# sent or lost the line."""
    assert press(editor, "half a line" + sequence) == []
    assert (editor.text, editor.cursor, editor.pasted) == ("half a line", 11, [])


@given(st.text(st.sampled_from("ab李 \r\t\x1b[A200~1;5D\x7f"), max_size=30), st.integers(1, 5))
def test_keys_are_the_same_however_they_are_cut(typed: str, size: int) -> None:
    def merged(pieces: list[str]) -> list[Key]:
        keys, found = Keys(), list[Key]()
        for piece in pieces:
            for key in keys.feed(piece):
                if key.name == "text" and found and found[-1].name == "text":
                    found[-1] = Key("text", found[-1].text + key.text)
                else:
                    found.append(key)
        return [*found, *keys.flush()]

    assert merged([typed]) == merged([typed[at : at + size] for at in range(0, len(typed), size)])


def paste(text: str) -> str:
    """What a terminal sends for it."""
    return f"\x1b[200~{text}\x1b[201~"


def test_a_paste_is_one_key_however_it_is_cut(editor: Editor) -> None:
    keys = Keys()
    typed = "a" + paste("one\ttwo\r\x1b[Athree") + "b"
    found = [key for character in typed for key in keys.feed(character)]
    assert found == [Key("text", "a"), Key("paste", "one\ttwo\n\x1b[Athree"), Key("text", "b")]


def test_an_endless_paste_is_not_held() -> None:
    keys = Keys()
    keys.feed("\x1b[200~")
    for _ in range(30):
        keys.feed("x" * 100_000)
    (key,) = keys.feed("\x1b[201~")
    assert len(key.text) <= TCP_client.PASTE_CHARACTERS


def test_a_pasted_tab_completes_nothing(editor: Editor) -> None:
    assert press(editor, paste("b\tx")) == []
    assert editor.text == "b x"


def test_pasted_lines_wait_for_a_yes(editor: Editor) -> None:
    assert press(editor, "begin " + paste("one\nclear\n\nexit\n")) == []
    assert editor.pasted == ["begin one", "clear", "exit"]
    assert press(editor, "xyz" + UP + "\t") == [], "nothing else is an answer"
    assert press(editor, "\r") == [Key("say", "begin one\nclear\nexit")]
    press(editor, paste("one\ntwo"))
    assert press(editor, "\x1b") == []
    assert press(editor, "hello\r") == [Key("enter", "hello")]


def test_pasted_text_is_text(editor: Editor) -> None:
    assert press(editor, paste("clear\n") + "\r") == [Key("say", "clear")]
    assert press(editor, paste("/* x */") + " more\r") == [Key("say", "/* x */ more")]
    assert press(editor, paste("clear") + HOME + "/\r") == [Key("enter", "/clear")], "that was typed"
    assert press(editor, "/msg bob " + paste("a\nb") + "\r") == [Key("enter", "/msg bob a b")]
    assert press(editor, paste("clear") + "\x15clear\r") == [Key("enter", "clear")]


def test_lines_come_back_with_up(editor: Editor) -> None:
    press(editor, "one\rtwo\rother\r")
    press(editor, "now" + "\x15" + UP + UP)
    assert editor.text == "two"
    press(editor, UP + UP + UP)
    assert editor.text == "one"
    press(editor, DOWN + DOWN + DOWN)
    assert editor.text == ""
    press(editor, "o" + UP)
    assert editor.text == "other"
    press(editor, UP)
    assert editor.text == "one", "only what begins with what was typed"
    press(editor, DOWN + DOWN)
    assert editor.text == "o"


def test_control_r_finds_what_was_typed_before_and_says_nothing(editor: Editor) -> None:
    press(editor, "the printer is back\rhello\rprint it\r")
    assert press(editor, "PRINT\x12") == []
    assert editor.text == "print it"
    press(editor, "\x12")
    assert editor.text == "the printer is back"
    assert press(editor, "\x03") == []
    assert editor.text == ""


def test_a_secret_is_kept_nowhere(editor: Editor) -> None:
    told: list[str] = []
    editor.ask(Secret("Password", told.append))
    assert press(editor, "sesame\x15\x19" + "open" + UP + "\t\r") == []
    assert told == ["open"]
    assert press(editor, UP + "\r") == [Key("enter", "")]
    editor.ask(Secret("Password", told.append))
    press(editor, "x\x1b")
    assert told == ["open"]
    assert press(editor, "hello\r") == [Key("enter", "hello")]


def test_control_c_and_control_d_leave_where_the_line_is_empty(editor: Editor) -> None:
    assert press(editor, "x\x03\x03") == [Key("leave")]
    assert press(editor, "\x04") == [Key("leave")]


@given(st.text(st.sampled_from("ab李\u0301 /\r\t\x1b[A~\x7f\x12\x17\x19\x02\x06"), max_size=40))
def test_the_cursor_is_always_in_the_line(typed: str) -> None:
    editor = Editor(lambda before: ["x ", "y "], InputHistory())
    press(editor, "one\rtwo\r" + typed)
    assert 0 <= editor.cursor <= len(editor.text)
