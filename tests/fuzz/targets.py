"""Invariants that hold for any input: functions of bytes that raise AssertionError, or worse, if one doesn't.

tests/fuzz/test_fuzz.py runs them with hundreds of inputs, `python3 -m tests.fuzz` with as many as there is
time for. Bytes that occur in no text stand for long pieces and for cuts: see `unpacked`.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import pickle
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import TCP_client
from analytics import blocks, load_history
from chat import record
from chat.front import lines as line_driver
from chat.front import session
from chat.record import BadName, NotARecord, Record
from chat.service import commands, limits
from chat.service.statistics import Statistics
from tests.faults.checker import check
from tests.fuzz.world import (
    ADDRESS,
    CUT,
    LESS_LONG,
    LONG,
    PRIVATE,
    SAME_SESSION,
    SECRET,
    UNWANTED,
    Visitor,
    World,
    unpacked,
)

# ---------------------------------------------------------------------------------------------- the grammar


def grammar(data: bytes) -> None:
    """The record: the server's readings, its writing and the client's reading agree, line by line."""
    for line in data.split(b"\n"):
        _reads_as_one(line)
        text = record.clean(line)
        assert record.clean(text.encode()) == text
        assert TCP_client.clean_bytes(line) == text
        assert not UNWANTED.search(text)
        assert "\t" not in text
        assert len(record.shorten(text, 40).encode()) <= 40
        with contextlib.suppress(BadName):
            name = record.clean_name(text)
            assert record.clean_name(name) == name
            drafts = record.draft(ADDRESS, name, "message", record.shorten(text))
            assert record.HISTORY_RECORD.fullmatch(record.stamp(record.format_time(0), drafts))


def _reads_as_one(line: bytes) -> None:
    found, theirs = _parsed(line), TCP_client.parse(line)
    if found is None:
        assert theirs is None
        assert not record.is_record(line)
        assert not record.HISTORY_RECORD.fullmatch(line + b"\n")
        return
    assert theirs == (found.time, found.address, found.name, found.kind, found.text)
    assert record.is_record(line)
    assert all(record.could_begin(line[:length]) for length in range(26))
    again = record.parse(found.encode())
    assert (again, again.encode()) == (found, found.encode())


def _parsed(line: bytes) -> Record | None:
    try:
        return record.parse(line)
    except NotARecord:
        return None


def lines(data: bytes) -> None:
    """The line splitters: the same lines whatever comes at once, and little held of what has no end."""
    pieces = unpacked(data)
    *whole, rest = b"".join(pieces).split(b"\n")
    expected = [line if len(line) <= session.LINE_BYTES else None for line in whole]
    if len(rest) > session.LINE_BYTES:
        expected.append(None)
    splitter, taken = session.Lines(), list[bytes | None]()
    client, heard = TCP_client.Lines(), list[bytes]()
    for number, piece in enumerate(pieces):
        splitter.feed(piece)
        if number % 2:
            taken += splitter.plain_messages().splitlines()
        taken += _taken(splitter)
        assert len(pickle.dumps(splitter)) <= session.LINE_BYTES + len(piece) + 256  # of the pickle itself
        heard += client.feed(piece)
    assert taken == expected
    assert heard == [line + b"\n" for line in whole if len(line) <= TCP_client.LINE_BYTES]


def _taken(splitter: session.Lines) -> Iterator[bytes | None]:
    while True:
        try:
            line = splitter.next()
        except session.LineTooLong:
            yield None
            continue
        if line is None:
            return
        yield line


# ------------------------------------------------------------------------------------------------- a session


def whole_session(data: bytes) -> None:
    """Connections one after another, each sending what it likes, a few bytes at once for the server to read.

    The room goes on, everything in files and on the wire is a record, in order, by whom it says, and what is
    private is nowhere but there.
    """
    log = _Log()
    at_once = (1, 2, 7, 64, 16 * 1024)[data[0] % 5] if data else 1
    with (
        tempfile.TemporaryDirectory(dir=_memory()) as folder,
        mock.patch.object(line_driver, "FEW_BYTES", at_once),
        mock.patch.object(line_driver, "MANY_BYTES", at_once),
        mock.patch.object(limits, "WRONG_TRY_SECONDS", 0),
        mock.patch.object(Statistics, "summary", list),  # a process each time, and nothing of ours in it
        log,
    ):
        _talk(Path(folder), unpacked(data[1:].replace(SECRET, b"")))
        _nothing_is_wrong_with(Path(folder), log.text)


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


class _Log(logging.Handler):
    """Keeps what the server logs, as it would at its most talkative, and keeps it from the terminal."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += record.getMessage()

    def __enter__(self) -> None:
        logger = logging.getLogger("chat")
        logger.addHandler(self)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False

    def __exit__(self, *error: object) -> None:
        logger = logging.getLogger("chat")
        logger.removeHandler(self)
        logger.setLevel(logging.NOTSET)
        logger.propagate = True


def _talk(folder: Path, pieces: list[bytes]) -> None:
    world = World(folder)
    place = b"/session\n"
    try:
        for number, piece in enumerate(pieces[:8]):
            sent = piece.replace(PRIVATE, b"\n/msg witness " + SECRET + b"\n").replace(SAME_SESSION, place)
            visitor = Visitor(world, ADDRESS, b"")
            visitor.send_meanwhile(sent)
            visitor.rest()
            visitor.close()
            place = visitor.place()
            world.goes_on(number)
    finally:
        world.close()


def _nothing_is_wrong_with(folder: Path, log: str) -> None:
    history = check(folder / "history.txt", [], [])
    assert history[-1].kind == "stop"
    for found in history:
        if record.name_key(found.name) in record.RESERVED_NAMES:
            assert (found.name, found.address) == ("server", record.NOBODY)
        else:
            assert found.address in (ADDRESS, "10.0.0.1")
    for file in folder.iterdir():
        assert SECRET not in file.read_bytes(), file.name
    assert SECRET.decode() not in log
    assert not UNWANTED.search(log)


# ------------------------------------------------------------------------------- the client, a hostile server


class _Paper(TCP_client.Screen):
    """Keeps what is shown."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def show(self, shown: TCP_client.Shown, signal: str = "") -> None:
        for columns in (7, 40, 80):
            self.shown += ["".join(text for _, text in row) for row in shown.rows(columns)]


def client(data: bytes) -> None:
    """The client hears these bytes on one connection after another, and shows lines, whatever they are."""
    conversation = TCP_client.Conversation("bob", "secret")
    settings, paper = TCP_client.Settings(highlight=["x"], color={"bob": "red"}), _Paper()
    with mock.patch.object(TCP_client, "Waker"), mock.patch.object(TCP_client.Settings, "save"):
        view = TCP_client.View(settings, colours=False)
        chat = TCP_client.Chat(TCP_client.Address("h", 1), conversation, settings, view)
        chat._screen = paper
        for number, connection in enumerate(unpacked(data)):
            conversation.connected()
            conversation.say(f"line {number}")
            conversation.say("/users")
            for piece in connection.split(PRIVATE):
                with contextlib.suppress(TCP_client.NotAChat):
                    chat.on_events(chat.link, conversation.receive(piece))
                chat.link._handle_calls()
                conversation.data_to_send()
                chat.link._publish()
                paper.shown.append(chat.status())
                paper.shown.append(chat.title())
    for text in itertools.chain(paper.shown, conversation.waiting, chat.completions("")):
        assert not UNWANTED.search(text), text
        assert "\t" not in text


# ------------------------------------------------------------------------------------------------- analytics


def analytics(data: bytes) -> None:
    """Analytics reads of a file what chat.record reads, however the file falls into blocks."""
    block, data = (data[0] + 1 if data else 1), data[1:].replace(LONG, b"x" * 1024)
    with (
        tempfile.TemporaryDirectory(dir=_memory()) as folder,
        mock.patch.object(blocks, "BLOCK_BYTES", block),
    ):
        path = Path(folder) / "history.txt"
        path.write_bytes(data)
        records, skipped = load_history(path)
    expected, expected_skipped = [], []
    for number, line in enumerate(data.split(b"\n")[:-1], 1):
        found = _parsed(line)
        if found and not found.direct:
            expected.append(found)
        else:
            expected_skipped.append(number)
    expected.sort(key=lambda found: found.time)
    columns = [records[field].tolist() for field in ("address", "name", "kind", "text")]
    assert [(f.address, f.name, f.kind, f.text) for f in expected] == list(zip(*columns, strict=True))
    times = records["time"].dt.tz_localize(None).to_numpy().astype(str)
    assert [found.time for found in expected] == [f"{time}Z" for time in times]
    assert skipped["line"].tolist() == expected_skipped


TARGETS = {
    "grammar": grammar,
    "lines": lines,
    "session": whole_session,
    "client": client,
    "analytics": analytics,
}

_RECORD = b"2026-11-21T10:15:42.123Z\t10.0.0.1\t"
_SERVER = b"2026-11-21T10:15:42.123Z\t-\tserver\t"
_SAID = b"".join(
    _RECORD + said + b"\n"
    for said in (b"bob\tjoin\t", b"bob\tmessage\tline 0", b"eve\trename\tEve", b"\xc3\xa9\tleave\texit")
)
TYPED = [b"/" + name.encode() for command in commands.TABLE for name in (command.name, *command.aliases)]

# What the search begins with, target by target, and words that it would hardly find.
SEEDS: dict[str, list[bytes]] = {
    "grammar": [*_SAID.splitlines(), b"2024-02-29T23:59:59.999Z\t-\tserver\t/error\t\xe2\x80\xae", b"alice"],
    "lines": [
        b"one\nt\xffwo\n/users\r\n\xffx\n",
        LONG * 4 + LESS_LONG + b"\nx\xff\nclear\n" + LONG * 17 + b"\xffx\xffx\ny\n",
    ],
    "session": [
        b"\x04eve\n" + b" 1 x\n".join(TYPED) + b"\n",
        b"\x04/replay all\n/session\neve\nhello\n\xfe\xff\xfdeve\n/nick Eve\nclear\nexit\n",
        b"\x01eve\n/admin sesame\n/mute eve\n/ban mallory 2h why\n/bans\n/kick witness\nx\n",
        b"\x03/password x\n" + LONG * 4 + b"\n" + LESS_LONG + b"\neve\n" + LONG * 4 + LESS_LONG + b"\n",
    ],
    "client": [
        _SERVER + b"/hello\tWelcome.\n" + _SERVER + b"/session\ttoken 0 0\n" + _SAID + b"\xff" + _SAID,
        _SERVER + b"/error\tno\n\xfe" + _SERVER + b"/users\teve 10.0.0.1 since 2026-11-21T10:15:42.123Z\n",
        _SERVER + b"clear\tkept\n" + _SERVER + b"notice\tbob is an admin now\n" + _SERVER + b"start\t\n",
    ],
    "analytics": [b"\x07" + _SAID, b"\xff" + _SAID + b"no record\n" + _SERVER + b"start\tport 1\ntorn"],
}
WORDS = [
    *(b"\n" + command + b" " for command in TYPED),
    *(b"\n/" + word for word in (b"password ", b"replay ", b"session ", b"admin sesame\n")),
    *(b"\t" + kind + b"\t" for kind in (b"message", b"rename", b"/msg", b"/session", b"/error", b"clear")),
    *(b"clear", b"exit", b"eve\n", b"witness", b"server", b"10.0.0.0/8", b"name:", b"all", b"2h", b"//"),
    *("\u202e \u2028 \u2029 \x9b31m \ufe0f \u034f ſ İ \ufdfa e\u0301 \u200b \ud7ff".encode().split()),
    *(b"\x1b[2J", b"\x00", b"\r\n", LONG * 4, CUT, PRIVATE, SAME_SESSION, _RECORD, _SERVER),
]
