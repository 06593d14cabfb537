"""The broadcaster: the one thread that writes the history, and sends it to everybody who listens.

    handlers --> pending --> broadcaster --> file (one append) --> listeners (chat/delivery.py)

To speak is to append to the file, to listen is to have a cursor into it. The broadcaster takes all that is
pending, appends it with one write, and then gives each listener what lies between its cursor and the end.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from dataclasses import dataclass, field

from chat import record
from chat.delivery import Delivery, Listener
from chat.history import History

# What may wait for the broadcaster; beyond it handlers wait, and with them their clients. No more than the
# processor's caches hold: the same batch is copied to every socket, and larger ones are copied more slowly.
PENDING_BYTES = 256 * 1024
DIRECT_BYTES = 256 * 1024  # direct records that may wait for one listener
STOP_SECONDS = 5  # for the last records to reach everybody when the server stops

log = logging.getLogger("chat.broadcaster")


class Full(Exception):
    """The listener has not taken the direct records that wait for it already."""


class Closed(Exception):
    """The room is closed: nothing more is written."""


class NotStored(Exception):
    """It could not be written to the history, and so it is not so; the message says why."""


@dataclass(slots=True)
class Said:
    """Records for the history. A failure is told to the author."""

    author: Listener | None
    drafts: bytes


@dataclass(slots=True)
class Awaited(Said):
    """Records whose author waits to hear that they are in the history: at this time, or why not."""

    done: threading.Event = field(default_factory=threading.Event, kw_only=True)
    time: str = field(default="", kw_only=True)
    why_not: str = field(default="", kw_only=True)


@dataclass(slots=True)
class Joined(Awaited):
    """Somebody listens from now on."""

    joiner: Listener


@dataclass(slots=True)
class Left(Said):
    """Somebody is out: after the last record, or at once if they can't or won't hear it."""

    leaver: Listener
    at_once: bool


@dataclass(slots=True)
class Told:
    """Direct records for one listener."""

    listener: Listener
    drafts: bytes


@dataclass(slots=True)
class Listening:
    """Somebody listens without being in the room."""

    listener: Listener


@dataclass(slots=True)
class Cleared:
    """The history begins anew, at the word of somebody with this address and name."""

    author: Listener | None
    address: str
    name: str


@dataclass(slots=True)
class Mark:
    """Somebody waits until all that was pending before this is done."""

    reached: threading.Event


Entry = Said | Told | Listening | Cleared | Mark


class Broadcaster:
    """What is pending, and who listens. `run` is the thread; everything public is for the others."""

    def __init__(self, history: History) -> None:
        self.history = history
        # The lock guards what is pending and how much waits for each listener. No file and no client's
        # socket is touched while it is held.
        self._lock = threading.Lock()
        self._relief = threading.Condition(self._lock)  # there is less pending than there was
        self._pending: list[Entry] = []
        self._pending_bytes = 0
        self._asleep = False  # the thread waits to be woken
        self._closed = False
        self._ended = threading.Event()  # the thread touches no connection any more

        # The thread's own.
        self._batch: list[Entry] = []  # what was pending, and is being done
        self._owed = b""  # what could not be written and nobody would say again: who left, a start
        self._failure = ""  # why nothing can be written
        self._delivery = Delivery(history, self._taken, self._lost)

    # ------------------------------------------------------------------------------------- for the others

    def say(self, author: Listener | None, drafts: bytes) -> None:
        """Append records to the history, and so send them to everybody. Waits while too much is pending.

        Also while the author has not taken what it was told before: that the history can't be written, for
        instance. Raises Closed.
        """
        with self._lock:
            while not self._closed and (self._pending_bytes > PENDING_BYTES or (author and _is_deaf(author))):
                self._relief.wait()
            self._post(Said(author, drafts))

    def answer(self, listener: Listener, drafts: bytes) -> None:
        """Send direct records to a listener, in its handler: waits until it has taken earlier ones.

        Raises Closed.
        """
        with self._lock:
            while _is_deaf(listener) and not self._closed:
                self._relief.wait()
            self._tell(listener, drafts)

    def tell(self, listener: Listener, drafts: bytes) -> None:
        """Send direct records to somebody else. Raises Full, Closed."""
        with self._lock:
            if listener.direct_bytes > DIRECT_BYTES:
                raise Full
            self._tell(listener, drafts)

    def listen(self, listener: Listener) -> None:
        """Let somebody hear what happens from now on, without being in the room: the host. Raises Closed."""
        file = self.history.file
        listener.hear_from(file, file.end)
        self._do(Listening(listener))

    def settle(self) -> None:
        """Return when all that was said before is in the history. Raises Closed."""
        mark = Mark(threading.Event())
        self._do(mark)
        mark.reached.wait()

    def stop(self, notice: str) -> None:
        """Say so, write a `stop` record, and let the thread end when everybody has it."""
        farewell = record.draft(record.NOBODY, "server", "notice", notice)
        with self._lock, contextlib.suppress(Closed):
            self._post(Said(None, farewell + record.draft(record.NOBODY, "server", "stop")))
            self._closed = True
            self._relief.notify_all()

    # ----- for the room, which is one

    def _do(self, entry: Entry) -> None:
        """Leave something to the thread, without waiting for anything. Raises Closed."""
        with self._lock:
            self._post(entry)

    def _await(self, entry: Awaited) -> str:
        """Have the records in the history; the time that they have. Raises NotStored, Closed."""
        self._do(entry)
        entry.done.wait()
        if entry.why_not:
            raise NotStored(entry.why_not)
        return entry.time

    def _end(self, listener: Listener, why: str) -> None:
        """Let the listener's handler come to its end."""
        with self._lock:
            listener.ended = listener.ended or why
            listener.ending.set()
            self._relief.notify_all()
        with contextlib.suppress(OSError):  # it has ended by itself
            listener.connection.shutdown(socket.SHUT_RD)

    # ----- for the delivery

    def _taken(self, listener: Listener, draft_bytes: int) -> None:
        """The listener has taken direct records of this size: there is room for more."""
        with self._lock:
            listener.direct_bytes -= draft_bytes
            self._relief.notify_all()

    def _lost(self, listener: Listener) -> None:
        self._end(listener, "connection lost")

    # ----- requires holding the lock

    def _tell(self, listener: Listener, drafts: bytes) -> None:
        self._post(Told(listener, drafts))
        listener.direct_bytes += len(drafts)

    def _post(self, entry: Entry) -> None:
        """Add to what is pending, and wake the thread if it sleeps. Raises Closed."""
        if self._closed:
            raise Closed
        self._pending.append(entry)
        if isinstance(entry, Said | Told):
            self._pending_bytes += len(entry.drafts)
        if self._asleep:
            self._asleep = False
            self._delivery.wake()

    # ------------------------------------------------------------------------------------- the thread

    def run(self) -> None:
        """Write and send until `stop`."""
        try:
            while not self._closed:
                self._round()
            self._finish()
        finally:
            self._close()

    def _round(self) -> None:
        self._wait()
        with self._lock:
            self._batch, self._pending = self._pending, []
            self._pending_bytes = 0
            self._relief.notify_all()
        if self._write(self._batch):
            self._delivery.tell_everybody(rest=all(isinstance(entry, Joined | Left) for entry in self._batch))
        self._batch = []
        self._delivery.deliver()

    def _wait(self) -> None:
        """Sleep until there is something to do; at any rate take up sockets that are not full any more."""
        with self._lock:
            self._asleep = not (self._pending or self._delivery.due or self._closed)
            timeout = None if self._asleep else 0
        self._delivery.wait(timeout)

    # ----- writing

    def _write(self, batch: list[Entry]) -> bool:
        """Do what is pending, in order. Whether the history has grown by it."""
        before = self.history.place
        said: list[Said] = []
        for entry in batch:
            if isinstance(entry, Said):
                said.append(entry)
                continue
            self._append(said)
            said = []
            if isinstance(entry, Told):
                self._delivery.put(entry.listener, entry.drafts)
            elif isinstance(entry, Cleared):
                self._clear(entry)
            elif isinstance(entry, Listening):
                self._delivery.add(entry.listener)
            else:
                entry.reached.set()
        self._append(said)
        return self.history.place != before

    def _append(self, said: list[Said]) -> None:
        """Write to the file what was said, with one write; whoever joins or leaves with it, does so."""
        if not said:
            return
        drafts = b"".join([entry.drafts for entry in said])
        try:
            now = self.history.append(self._owed + drafts)
            self._owed = b""
            why_not = self._failure_is("")
        except OSError as error:
            now = ""
            why_not = self._failure_is(f"Not stored and not sent: {error.strerror}. Try again later.")
        file, end = self.history.place
        if not why_not:
            end -= record.stamped_size(drafts)
        for entry in said:
            if isinstance(entry, Awaited):
                self._tell_outcome(entry, now, why_not)
            elif why_not and (entry.author is None or isinstance(entry, Left)):
                self._owed += entry.drafts
            elif why_not:
                self._refuse(entry.author, why_not, entry.drafts.count(b"\n"))
            if not why_not:
                end += record.stamped_size(entry.drafts)
            if isinstance(entry, Left):
                self._delivery.let_go(entry.leaver, (file, end), at_once=entry.at_once)

    def _tell_outcome(self, entry: Awaited, now: str, why_not: str) -> None:
        """Let the author go on, who waits to hear whether it is in the history."""
        if isinstance(entry, Joined) and not why_not:
            self._delivery.add(entry.joiner)
        entry.time, entry.why_not = now, why_not
        entry.done.set()

    def _failure_is(self, why_not: str) -> str:
        """Tell the host when writing begins to fail and when it works again, not each time between."""
        if why_not != self._failure:
            log.error("history: %s", why_not or "writing works again.")
            self._failure = why_not
        return why_not

    def _clear(self, entry: Cleared) -> None:
        try:
            self.history.clear(entry.address, entry.name)
        except OSError as error:
            log.error("history: can't clear: %s", error.strerror)
            self._refuse(entry.author, f"The history can't be cleared: {error.strerror}.", 1)

    def _refuse(self, author: Listener | None, why: str, times: int) -> None:
        """Tell the author of so many records that they are not in the history: each line has its answer."""
        if author:
            errors = record.draft(record.NOBODY, "server", "/error", why) * times
            with self._lock:
                author.direct_bytes += len(errors)
            self._delivery.put(author, errors)

    # ----- the end

    def _finish(self) -> None:
        """Send what is still to be sent, as long as somebody takes it and the time for it has not run out."""
        deadline = time.monotonic() + STOP_SECONDS
        self._round()
        while time.monotonic() < deadline and self._delivery.is_behind():
            self._delivery.wait(0 if self._delivery.due else 0.01)
            self._round()

    def _close(self) -> None:
        """Let everybody go who waits for the broadcaster."""
        with self._lock:
            self._closed = True
            self._relief.notify_all()
            unheard, self._pending = self._batch + self._pending, []
        for entry in unheard:  # only where the broadcaster has failed
            if isinstance(entry, Awaited) and not entry.done.is_set():
                entry.why_not = "The server has failed."
                entry.done.set()
            elif isinstance(entry, Mark):
                entry.reached.set()
            elif isinstance(entry, Left):
                entry.leaver.gone.set()
        self._delivery.close()
        self._ended.set()


def _is_deaf(listener: Listener) -> bool:
    """Whether its handler is to wait for it to take direct records. Requires holding the lock."""
    return listener.direct_bytes > DIRECT_BYTES and not listener.ending.is_set()
