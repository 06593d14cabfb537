"""A session's input, pure: bytes in, requests out. docs/protocol.md has the rules, R24 to R26."""

from __future__ import annotations

from chat import record
from chat.service.commands import BARE_WORDS
from chat.service.requests import Command, Request, Speak, TooLong

LINE_BYTES = record.TEXT_BYTES + 128  # a full text, behind a command and a name


class LineTooLong(Exception):
    """A line was longer than LINE_BYTES; it is skipped. `start` is what it began with."""

    def __init__(self, start: bytes) -> None:
        super().__init__()
        self.start = start


class Lines:
    """Received bytes as lines (R1). At most LINE_BYTES of an unfinished line are held."""

    __slots__ = ("_buffer", "_skipping", "_taken")

    def __init__(self) -> None:
        self._buffer = b""
        self._taken = 0  # how much of the buffer has been returned
        self._skipping = False  # up to the next LF: the rest of a line that is too long

    def feed(self, received: bytes) -> None:
        """Add received bytes."""
        if self._skipping:
            _, end, received = received.partition(b"\n")
            self._skipping = not end
        self._buffer = self._buffer[self._taken :] + received
        self._taken = 0

    def plain_messages(self) -> bytes:
        """Take all leading lines that are messages and already clean; each ends in LF."""
        run = record.PLAIN_MESSAGES.match(self._buffer, self._taken)
        if run is None:
            return b""
        self._taken = run.end()
        return run.group()

    def next(self) -> bytes | None:
        """Take the next line, without its LF; None if there is none yet. Raises LineTooLong, once each."""
        end = self._buffer.find(b"\n", self._taken)
        finished = end >= 0
        start, stop = self._taken, end if finished else len(self._buffer)
        if stop - start > LINE_BYTES:
            self._taken, self._skipping = stop + finished, not finished
            raise LineTooLong(self._buffer[start : start + LINE_BYTES])
        if not finished:
            return None
        self._taken = end + 1
        return self._buffer[start:end]


class Session:
    """A member's input as requests."""

    __slots__ = ("_lines",)

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def feed(self, received: bytes) -> None:
        """Add received bytes."""
        self._lines.feed(received)

    def next(self, *, many: bool) -> Request | None:
        """The next request; None if there is none yet. With `many`, all leading messages are one."""
        if many and (plain := self._lines.plain_messages()):
            return Speak(plain)
        while True:
            try:
                line = self._lines.next()
            except LineTooLong:
                return TooLong()
            if line is None:
                return None
            if text := record.clean(line):  # R25: an empty line gets no answer
                return understand(text)


def understand(text: str) -> Request:
    """The request that a clean line makes (R24). Most are messages."""
    if text.strip(" ") in BARE_WORDS:
        return Command(text.strip(" "), "")
    if text.startswith("//"):
        return Command("say", text[1:])
    if text.startswith("/"):
        return command(text[1:])
    return Speak(text.encode() + b"\n")


def command(text: str) -> Command:
    """A command without its slash, as at the console."""
    name, _, argument = text.partition(" ")
    return Command(name, argument.strip(" "))
