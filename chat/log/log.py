"""The log: entries are proposed, and come back committed, in one order, or rejected.

    propose([entry, …])  -->  settled() -> [Result(entry, …), …]

Until an entry is settled, nobody knows its fate. A committed entry is in the history and in the roster before
its result is returned. The log sets the time of a record: when it was committed, never earlier than the
record before it (R7).

The local log commits by writing to the file, so everything is settled immediately.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from chat import record
from chat.log.entries import Append, Clear, Entry, Leave
from chat.log.file import Position
from chat.log.history import History
from chat.log.roster import Roster
from chat.log.sessions import SessionFile

NAME_TAKEN = "That name is taken."

log = logging.getLogger("chat.log")


@dataclass(slots=True)
class Result:
    """The fate of an entry: committed at `time`, its records ending at `end`; or `why_not`, a sentence."""

    entry: Entry
    end: Position
    time: str = ""
    why_not: str = ""


class Log(Protocol):
    """One order of entries. One thread proposes and settles; any thread may read the rest."""

    history: History
    roster: Roster

    @property
    def ready(self) -> bool:
        """Whether it accepts a proposal now: nothing is in flight."""

    def propose(self, entries: Sequence[Entry]) -> None:
        """Propose entries, to be committed in this order. Requires `ready`."""

    def settled(self) -> list[Result]:
        """The results since the last call, in the order of the log."""

    def on_settled(self, wake: Callable[[], None]) -> None:
        """Have `wake` called, in whatever thread, when there may be something to settle."""

    @property
    def sessions(self) -> SessionFile | None:
        """Who was here when this server stopped; None if the log itself knows."""

    @property
    def trouble(self) -> str:
        """Why proposals wait unusually long, a sentence; "" if they don't."""

    @property
    def servers(self) -> tuple[str, ...]:
        """Where clients reach the servers of this log, this one first; empty if it is the only one."""

    def report(self) -> list[str]:
        """Lines for the host: each server, and the state of what they share. May take seconds."""

    def open(self, where: str) -> None:
        """Begin: this server is where clients find it. To be called first. Raises HistoryError."""

    def now(self) -> str:
        """The time that a record committed now would get."""

    def close(self) -> None:
        """Sync and close the history. Raises HistoryError."""


class LocalLog:
    """The log of a server on its own: to write is to commit."""

    ready = True  # `propose` settles before it returns
    trouble = ""
    servers: tuple[str, ...] = ()

    def __init__(self, history: History) -> None:
        self.history = history
        self.roster = Roster()
        self.sessions = SessionFile(history.path.with_name(history.path.name + ".sessions"))
        self._settled: list[Result] = []
        self._unwritten = b""  # drafts to be retried: they go before the next append
        self._failure = ""  # why writing fails, while it does

    def propose(self, entries: Sequence[Entry]) -> None:
        """Commit the entries: one write for each run of them between clears."""
        first = 0
        for index, entry in enumerate(entries):
            if isinstance(entry, Clear):
                self._append(entries[first:index])
                self._clear(entry)
                first = index + 1
        self._append(entries[first:] if first else entries)

    def settled(self) -> list[Result]:
        settled, self._settled = self._settled, []
        return settled

    def on_settled(self, wake: Callable[[], None]) -> None:
        pass

    def report(self) -> list[str]:
        return ["This server is the only one of this chat."]

    def open(self, where: str) -> None:
        port = where.rpartition(":")[2]
        self.propose([Append(record.draft(record.NOBODY, "server", "start", f"port {port}"), retry=True)])
        self._settled.clear()

    def now(self) -> str:
        return max(record.format_time(time.time()), self.history.last_time)

    def close(self) -> None:
        self.sessions.close()
        self.history.close()

    # ----- writing

    def _append(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        refused = self.roster.refused(entries)
        drafts = b"".join([entry.drafts for entry in entries if entry not in refused])
        now = self.now()
        try:
            if drafts:
                self.history.append(self._unwritten + drafts, now)
                self._unwritten = b""
                self._report("")
        except OSError as error:
            why_not = self._report(f"Not stored and not sent: {error.strerror}. Try again later.")
            self._reject(entries, refused, why_not)
            return
        number, end = self.history.position
        end -= record.stamped_size(drafts)
        for entry in entries:
            if entry in refused:
                self._settled.append(Result(entry, (number, end), why_not=NAME_TAKEN))
                continue
            end += record.stamped_size(entry.drafts)
            self.roster.apply(entry, now)
            self._settled.append(Result(entry, (number, end), now))
        self.sessions.note(entry for entry in entries if entry not in refused)

    def _reject(self, entries: Sequence[Entry], refused: set[Entry], why: str) -> None:
        """Settle entries that could not be written. A member that leaves is gone all the same."""
        end = self.history.position
        for entry in entries:
            if isinstance(entry, Leave):
                self._unwritten += entry.drafts
                self.roster.apply(entry, "")
                self.sessions.note([entry])
                self._settled.append(Result(entry, end))
            elif isinstance(entry, Append) and entry.retry:
                self._unwritten += entry.drafts
                self._settled.append(Result(entry, end))
            else:
                self._settled.append(Result(entry, end, why_not=NAME_TAKEN if entry in refused else why))

    def _clear(self, entry: Clear) -> None:
        now = self.now()
        why_not = ""
        try:
            self.history.clear(entry.address, entry.name, now)
        except OSError as error:
            why_not = f"The history can't be cleared: {error.strerror}."
            log.error("%s", why_not)
        self._settled.append(Result(entry, self.history.position, now, why_not))

    def _report(self, failure: str) -> str:
        """Tell the host when writing begins to fail and when it works again, not every time in between."""
        if failure != self._failure:
            log.error("history: %s", failure or "writing works again.")
            self._failure = failure
        return failure
