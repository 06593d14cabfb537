"""What a listener gets, as Server-Sent Events. Pure.

    id: OFFSET TIME DIRECTS      the session's place: where the last history record ends, and its time;
    data: RECORD                 and how many direct records there were
    data: RECORD

What comes at once is one event, however many records it has.
"""

from __future__ import annotations

from dataclasses import dataclass

KEPT_BYTES = 64 * 1024  # of direct records, for a stream that breaks: they are in no file

SIGN_OF_LIFE = b"event: life\ndata:\n\n"
ELSEWHERE = b"event: elsewhere\ndata:\n\n"
PAUSE = b"event: pause\ndata:\n\n"


@dataclass(frozen=True)
class Place:
    """How far somebody has got: a resume offset with its record's time, and the direct records seen."""

    offset: int
    time: str
    directs: int

    def __str__(self) -> str:
        return f"{self.offset} {self.time} {self.directs}"


def parse_place(text: str) -> Place | None:
    """The place that an event's id says; None where it says none."""
    fields = text.split(" ")
    if len(fields) != 3 or not all(field.isascii() and field.isdigit() for field in (fields[0], fields[2])):
        return None
    return Place(int(fields[0]), fields[1], int(fields[2]))


class Frames:
    """Frames the same records once, for all who get them. Safe to use from any thread."""

    def __init__(self) -> None:
        self._last: tuple[bytes, bytes, str] = (b"", b"", "")  # lines, framed, and the time of the last one

    def of(self, lines: bytes) -> tuple[bytes, str]:
        """The end of an event, behind its id; and the time of the last line, where all of it is history."""
        last = self._last
        if last[0] != lines:
            framed = b"data: %b\n\n" % lines.replace(b"\n", b"\ndata: ")
            time = b""
            if not (b"\t/" in lines or b"\tclear\t" in lines):
                time = lines[lines.rfind(b"\n") + 1 :].partition(b"\t")[0]
            self._last = last = (lines, framed, time.decode())
        return last[1], last[2]


class Events:
    """Takes the bytes that a listener gets, in any pieces, and gives events. It knows the place."""

    __slots__ = ("_directs", "_frames", "_kept", "_kept_bytes", "_offset", "_rest", "_time", "end", "start")

    def __init__(self, frames: Frames) -> None:
        self.start = self.end = 0  # from the session record: where it began, and the history's end then
        self._frames = frames
        self._offset = 0
        self._time = ""
        self._directs = 0
        self._rest = b""  # of a record that has not come whole
        self._kept: list[tuple[int, bytes]] = []  # direct records, numbered
        self._kept_bytes = 0

    @property
    def place(self) -> Place:
        """After all that has been taken."""
        return Place(self._offset, self._time, self._directs)

    def take(self, received: bytes) -> bytes:
        """The event for the records that are complete now; empty where there is none."""
        lines, end, self._rest = (self._rest + received).rpartition(b"\n")
        if not end:
            return b""
        framed, time = self._frames.of(lines)
        if time:  # nearly always: history, and nothing else
            self._offset += len(lines) + 1
            self._time = time
        else:
            for line in lines.split(b"\n"):
                self._count(line)
        return self._id() + framed

    def again(self, history: bytes, place: Place) -> bytes:
        """What was sent already and may have got lost: this history, and the direct records since a place."""
        directs = b"".join(line + b"\n" for number, line in self._kept if number > place.directs)
        lines = (history + directs).removesuffix(b"\n")
        return self._id() + self._frames.of(lines)[0] if lines else b""

    def _count(self, line: bytes) -> None:
        time, _, _, kind, text = line.split(b"\t", 4)
        if kind == b"/session":
            _, start, end = text.split()
            self._offset = int(start)
            self.start, self.end = int(start), int(end)
        if kind.startswith(b"/"):
            self._keep(line)
        else:
            self._offset = len(line) + 1 + (0 if kind == b"clear" else self._offset)
            self._time = time.decode()

    def _keep(self, line: bytes) -> None:
        self._directs += 1
        self._kept.append((self._directs, line))
        self._kept_bytes += len(line) + 1
        while self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= len(self._kept.pop(0)[1]) + 1

    def _id(self) -> bytes:
        return b"id: %d %b %d\n" % (self._offset, self._time.encode(), self._directs)


def session_event(number: int) -> bytes:
    """The first event of a stream: how many lines the session has taken."""
    return b'retry: 1000\nevent: session\ndata: {"number": %d}\n\n' % number
