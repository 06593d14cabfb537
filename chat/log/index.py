"""The word index: which records contain which words, so that a search need not read the history.

    history.txt        |rec|rec|rec|rec|rec|rec|        the truth
    history.txt.index   words -> offsets, up to `end`   SQLite FTS5; may be deleted at any time

`Index.candidates` gives the offsets of possible matches of a search (search.py), newest first; the caller
reads the records there and checks them.

Measured with 1 GB (14 million records), see docs/limits.md: a search takes less than a millisecond, whereas
`mmap.find` takes half a second for each and is case-sensitive. The index is half the size of the history, and
takes a minute of one processor to build.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from chat.log.search import PREFIX, Search, indexed

VERSION = 1  # of the file's content; another version is rebuilt
HEAD_BYTES = 4096  # at both ends of what is indexed, to recognize the history

_SAID = re.compile(rb"^[^\t\n]*\t[^\t\n]*\t([^\t\n]*)\t(?:message|action|notice)\t([^\t\n]*)\n", re.MULTILINE)


class Index:
    """The index of one history file. For one process and one thread. Raises sqlite3.Error, OSError.

    `end`: everything before it is indexed.
    """

    def __init__(self, path: Path, history: Path) -> None:
        self.path = path
        self.end = 0
        self._history = history
        try:
            self._open()
        except sqlite3.DatabaseError:  # damaged, or of another history
            self.drop()
            self._open()

    def add(self, lines: bytes) -> None:
        """Index whole lines, which begin at `end` in the history."""
        rows = (
            (
                self.end + match.start() + 1,
                indexed(*(field.decode(errors="replace") for field in match.groups())),
            )
            for match in _SAID.finditer(lines)
        )
        self._database.execute("BEGIN")
        try:
            self._database.executemany("INSERT INTO said (rowid, words) VALUES (?, ?)", rows)
            self.end += len(lines)
            self._database.execute("UPDATE state SET end = ?, seal = ?", (self.end, self._seal(self.end)))
            self._database.execute("COMMIT")
        except BaseException:
            self._database.rollback()
            raise

    def candidates(self, search: Search) -> Iterator[int]:
        """The offsets of records that may match, newest first. `search.expression` must not be empty."""
        rows = self._database.execute(
            "SELECT rowid FROM said WHERE said MATCH ? ORDER BY rowid DESC", (search.expression,)
        )
        for (offset,) in rows:
            yield offset - 1

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(sqlite3.Error):  # deleted meanwhile: the history was cleared
            self._database.close()

    def drop(self) -> None:
        """Delete the index; it is rebuilt when it is next opened."""
        with contextlib.suppress(AttributeError):
            self._database.close()
        for suffix in ("", "-wal", "-shm", "-journal"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def _open(self) -> None:
        if self.path.is_symlink():  # its target is not ours to write to
            self.path.unlink()
        self._database = sqlite3.connect(self.path, isolation_level=None)
        self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute(
            "PRAGMA synchronous = NORMAL"
        )  # consistent after a power cut, if not up to date
        if self._database.execute("PRAGMA user_version").fetchone()[0] == VERSION:
            end, seal = self._database.execute("SELECT end, seal FROM state").fetchone()
            if seal == self._seal(end):
                self.end = end
                return
            raise sqlite3.DatabaseError("the history is another one")
        if self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise sqlite3.DatabaseError("another version")
        self._make()

    def _make(self) -> None:
        self._database.executescript(
            f"""
            CREATE VIRTUAL TABLE said
                USING fts5(words, content='', detail=none, tokenize='ascii', prefix='{PREFIX}');
            CREATE TABLE state (end INTEGER, seal BLOB);
            INSERT INTO state VALUES (0, x'');
            PRAGMA user_version = {VERSION};
            """
        )

    def _seal(self, end: int) -> bytes:
        """A fingerprint of the history up to `end`, without reading all of it; b"" for none."""
        if not end:
            return b""
        with self._history.open("rb") as file:
            head = file.read(min(HEAD_BYTES, end))
            file.seek(end - len(head))
            return hashlib.sha256(head + file.read(len(head))).digest()
