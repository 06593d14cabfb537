"""Files for tests: histories, lines of them, and what a reader gets; whether a file is private."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

from chat import record
from chat.log.file import HistoryFile
from chat.log.history import History
from chat.log.log import LocalLog

OLD = "2020-01-01T00:00:00.000Z"
PIECE = 256 * 1024


def is_private(path: Path) -> bool:
    """Whether nobody but its owner can read or write the file; always, on Windows, which has no modes."""
    return sys.platform == "win32" or stat.S_IMODE(path.lstat().st_mode) == 0o600


def line(text: str, time: str = OLD, name: str = "alice") -> bytes:
    return record.Record(time, "10.0.0.1", name, "message", text).encode()


def said(text: str) -> bytes:
    return record.draft("10.0.0.1", "alice", "message", text)


def append(history: History, drafts: bytes) -> None:
    history.append(drafts, LocalLog(history).now())


def clear(history: History, address: str, name: str) -> None:
    history.clear(address, name, LocalLog(history).now())


def texts(data: bytes) -> list[str]:
    return [record.parse(found).text for found in data.splitlines()]


def all_records(file: HistoryFile, offset: int = 0) -> tuple[list[str], list[int]]:
    """The texts that a reader gets from the offset on, and the offsets to which it had to jump."""
    data, jumps = b"", []
    while offset < file.end:
        start, piece = file.records(offset, PIECE)
        if start != offset:
            jumps.append(start)
        data += piece
        offset = start + len(piece)
    return texts(data), jumps
