"""The broadcaster: the one thread that proposes to the log, and sends what is committed to everybody.

    handlers --> pending --> broadcaster --> log (one append) --> listeners (delivery.py)

To speak is to append to the file; to listen is to have a cursor into it. The broadcaster takes everything
pending, proposes it as one batch, and once that is committed (R7) sends each listener what lies between its
cursor and the end. Items that need no log (a direct record, a barrier) keep their place in the order.
"""

from __future__ import annotations

import collections
import contextlib
import threading
import time
from collections.abc import Callable

from chat import record
from chat.log.entries import Append, Entry, Join, Leave, Stop
from chat.log.file import Position
from chat.log.log import Log, Result
from chat.room.delivery import Delivery, Listener
from chat.room.ending import LOST, Ending
from chat.room.items import Awaited, Barrier, Item, Proposal, SendDirect, Subscribe, is_free

# Beyond this, handlers wait, and with them their clients. No more than a processor's cache holds: the batch
# is copied to every socket, and a larger one would be copied more slowly.
PENDING_BYTES = 256 * 1024
DIRECT_BYTES = 256 * 1024  # direct records that may wait for one listener
STOP_SECONDS = 5  # to send the last records to everybody when the server stops

SERVER_FAILED = "The server has failed."


class Full(Exception):
    """Too many direct records are waiting for the listener already."""


class Closed(Exception):
    """The room is closed: nothing more is committed."""


class Refused(Exception):
    """An entry was not committed; the message says why."""


class Broadcaster:
    """What is pending, and who listens. `run` is the thread; other public methods are for other threads."""

    def __init__(self, log: Log, take_foreign: Callable[[Result], None]) -> None:
        # Guards what is pending, how much waits for each listener, and how each listener ends. No file and
        # no socket is touched while it is held.
        self._lock = threading.Lock()
        self._not_full = threading.Condition(self._lock)  # there is room for more to be pending
        self._pending: list[Item] = []
        self._pending_bytes = 0
        self._asleep = False  # the thread is waiting for its waker
        self._closed = False
        self._finished = threading.Event()  # the thread no longer touches any connection

        # Used by the thread alone.
        self._log = log
        self._batch: collections.deque[Item] = collections.deque()  # taken from pending, not yet done
        self._in_flight: collections.deque[Proposal] = collections.deque()  # proposed, not yet settled
        self._delivery = Delivery(log, self._taken, self._lost)
        self._take_foreign = take_foreign  # called with results that were not proposed here
        self._told: set[Listener] = set()  # those who know that their proposals wait
        log.on_settled(self._delivery.wake)

    # ------------------------------------------------------------------------------- for the other threads

    def propose(self, entry: Entry, author: Listener | None = None) -> None:
        """Have an entry committed; its author gets a `/error` if that fails. Doesn't wait. Raises Closed."""
        with self._lock:
            self._post(Proposal(entry, author))

    def commit(
        self, entry: Entry, author: Listener | None = None, waits: Callable[[], None] | None = None
    ) -> str:
        """Have an entry committed, wait for it, and return its time. Raises Refused, Closed.

        `waits` is called, in the broadcaster's thread, if that takes long; it must not block or raise.
        """
        awaited = Awaited(entry, author, waits=waits)
        with self._lock:
            self._post(awaited)
        awaited.settled.wait()
        if awaited.why_not:
            raise Refused(awaited.why_not)
        return awaited.time

    def say(self, author: Listener | None, drafts: bytes, author_id: str = "") -> None:
        """Commit records and so send them to everybody, the author included (R28).

        Waits while too much is pending. Raises Closed.
        """
        with self._lock:
            while self._pending_bytes > PENDING_BYTES and not self._closed:
                self._not_full.wait()
            self._post(Proposal(Append(drafts, author_id, retry=author is None), author))

    def answer(self, listener: Listener, drafts: bytes) -> None:
        """Send direct records to a listener from its own handler, which first calls `wait_not_full`.

        Raises Closed.
        """
        with self._lock:
            self._post_direct(listener, drafts)

    def send_direct(self, listener: Listener, drafts: bytes) -> None:
        """Send direct records to somebody else. Raises Full, Closed."""
        with self._lock:
            if is_backlogged(listener):
                raise Full
            self._post_direct(listener, drafts)

    def wait_not_full(self, listener: Listener) -> None:
        """Wait while the listener is backlogged, at most until it ends."""
        if not is_backlogged(listener):
            return
        with self._lock:
            listener.not_full = threading.Condition(self._lock)
            while is_backlogged(listener) and not listener.ending and not self._closed:
                listener.not_full.wait()
            listener.not_full = None

    def subscribe(self, listener: Listener) -> None:
        """Send a listener that is not in the room, the host's, what happens from now on. Raises Closed."""
        file = self._log.history.file
        listener.seek(file, file.end)
        with self._lock:
            self._post(Subscribe(listener))

    def flush(self, at_most: float | None = None) -> None:
        """Return once everything that was pending is done, at most after `seconds`. Raises Closed."""
        barrier = Barrier(threading.Event())
        with self._lock:
            self._post(barrier)
        barrier.reached.wait(at_most)

    def end(self, listener: Listener, ending: Ending) -> None:
        """End the connection: its handler wakes up and leaves. The first ending wins."""
        self.decide_ending(listener, ending)
        listener.interrupt()

    def decide_ending(self, listener: Listener, ending: Ending) -> Ending:
        """Decide how the connection ends, unless that is decided already; how it does end."""
        with self._lock:
            listener.ending = listener.ending or ending
            listener.ended.set()
            if listener.not_full:
                listener.not_full.notify_all()
            return listener.ending

    def stop(self, notice: str) -> None:
        """Announce it, write a `stop` record, and let the thread finish once everybody has both."""
        farewell = record.draft(record.NOBODY, "server", "notice", notice)
        stopped = record.draft(record.NOBODY, "server", "stop")
        with self._lock, contextlib.suppress(Closed):
            self._post(Proposal(Stop(farewell + stopped, retry=True)))
            self._closed = True
            self._not_full.notify_all()

    def wait_finished(self) -> None:
        """Wait until the thread no longer touches any connection."""
        self._finished.wait()

    # ----- for the delivery

    def _taken(self, listener: Listener, draft_bytes: int) -> None:
        """The listener has taken direct records of this size."""
        with self._lock:
            listener.direct_bytes -= draft_bytes
            # Not before half is free, or its handler would wake up for each record.
            if listener.not_full and listener.direct_bytes <= DIRECT_BYTES // 2:
                listener.not_full.notify_all()

    def _lost(self, listener: Listener) -> None:
        self.end(listener, LOST)

    # ----- requires holding the lock

    def _post_direct(self, listener: Listener, drafts: bytes) -> None:
        if listener.ending and not listener.ending.hears_rest:
            return
        self._post(SendDirect(listener, drafts))
        listener.direct_bytes += len(drafts)

    def _post(self, item: Item) -> None:
        """Add an item to what is pending, and wake the thread if it sleeps. Raises Closed."""
        if self._closed:
            raise Closed
        self._pending.append(item)
        if isinstance(item, Proposal):
            self._pending_bytes += len(item.entry.drafts)
        elif isinstance(item, SendDirect):
            self._pending_bytes += len(item.drafts)
        if self._asleep:
            self._asleep = False
            self._delivery.wake()

    # ------------------------------------------------------------------------------------- the thread

    def run(self) -> None:
        """Propose and send until `stop`."""
        try:
            while not self._closed:
                self._round()
            self._finish()
        finally:
            self._close()

    def _round(self) -> None:
        self._wait()
        if not self._batch:
            self._take_pending()
        self._work_off()
        if self._log.trouble:
            self._do_without_log()
        elif self._told:
            self._told.clear()
        self._delivery.deliver()

    def _wait(self) -> None:
        """Sleep until there is something to do, or a socket that was full is writable."""
        with self._lock:
            runnable = (self._pending or self._batch) and self._log.ready
            self._asleep = not (runnable or self._delivery.due or self._closed)
            timeout = None if self._asleep else 0
        self._delivery.wait(timeout)

    def _take_pending(self) -> None:
        with self._lock:
            self._batch.extend(self._pending)
            self._pending = []
            if self._pending_bytes > PENDING_BYTES:
                self._not_full.notify_all()
            self._pending_bytes = 0

    def _work_off(self) -> None:
        """Do the items of the batch, in order, as long as the log is ready for them."""
        self._settle()
        while self._batch and self._log.ready:
            if isinstance(self._batch[0], Proposal):
                self._propose()
                self._settle()
            else:
                self._do(self._batch.popleft())

    def _propose(self) -> None:
        """Propose the entries at the front of the batch, up to the first item that needs no log."""
        while self._batch and isinstance(proposal := self._batch[0], Proposal):
            self._in_flight.append(proposal)
            self._batch.popleft()
        self._log.propose([proposal.entry for proposal in self._in_flight])

    def _do_without_log(self) -> None:
        """While proposals wait, tell their authors once (R47), and do for the others what needs no log."""
        with self._lock:
            proposed = (*self._in_flight, *self._batch, *self._pending)
            waiting = {
                item.author
                for item in proposed
                if isinstance(item, Proposal) and item.author and not isinstance(item.entry, Join)
            }
            free = [item for item in self._pending if is_free(item, waiting)]
            self._pending = [item for item in self._pending if not is_free(item, waiting)]
            self._pending_bytes -= sum(len(item.drafts) for item in free if isinstance(item, SendDirect))
        for item in [item for item in self._batch if is_free(item, waiting)]:
            self._batch.remove(item)
            self._do(item)
        for item in free:
            self._do(item)
        sentence = record.draft(record.NOBODY, "server", "/waiting", self._log.trouble)
        for author in waiting - self._told:
            self._told.add(author)
            self.queue_direct(author, sentence)
        for item in proposed:
            if isinstance(item, Awaited) and item.waits:
                waits, item.waits = item.waits, None
                waits()

    def _do(self, item: Item) -> None:
        if isinstance(item, SendDirect):
            self._delivery.queue_direct(item.listener, item.drafts)
        elif isinstance(item, Subscribe):
            self._delivery.add(item.listener)
        elif isinstance(item, Barrier):
            item.reached.set()

    # ----- what was settled

    def _settle(self) -> None:
        """Act on what the log has settled; everybody is due if the history has grown."""
        committed = False
        coalesce = True  # only joins and leaves, which may wait a moment
        for result in self._log.settled():
            own = bool(self._in_flight) and self._in_flight[0].entry is result.entry
            if own:
                self._tell_author(self._in_flight.popleft(), result)
            else:
                self._take_foreign(result)
            if not result.why_not:
                committed = True
                coalesce = coalesce and isinstance(result.entry, Join | Leave)
        if committed:
            self._delivery.schedule_all(coalesce=coalesce)

    def _tell_author(self, proposal: Proposal, result: Result) -> None:
        author = proposal.author
        if isinstance(proposal, Awaited):
            if author and isinstance(proposal.entry, Join) and not result.why_not:
                self._delivery.add(author)
            proposal.time, proposal.why_not = result.time, result.why_not
            proposal.settled.set()
        elif author and isinstance(proposal.entry, Leave):
            hears_rest = author.ending is None or author.ending.hears_rest
            self._delivery.detach(author, result.end, hears_rest=hears_rest)
        elif author and result.why_not:
            self._refuse(author, result.why_not, max(1, proposal.entry.drafts.count(b"\n")))

    def _refuse(self, author: Listener, why: str, times: int) -> None:
        """Tell the author that records were not committed: each line is answered (R27)."""
        self.queue_direct(author, record.draft(record.NOBODY, "server", "/error", why) * times)

    # ----- for `take_foreign`, in the thread

    def queue_direct(self, listener: Listener, drafts: bytes) -> None:
        """Send direct records that nobody here has posted."""
        with self._lock:
            listener.direct_bytes += len(drafts)
        self._delivery.queue_direct(listener, drafts)

    def release(self, listener: Listener, ending: Ending, position: Position) -> None:
        """The listener's leave is committed, and ends at this position: its handler wakes up."""
        self._delivery.detach(listener, position, hears_rest=ending.hears_rest)
        self.end(listener, ending)

    # ----- the end

    def _finish(self) -> None:
        """Send the rest, as long as there is time and somebody who takes it."""
        deadline = time.monotonic() + STOP_SECONDS
        self._round()
        while time.monotonic() < deadline and (
            self._in_flight or self._batch or self._pending or self._delivery.is_behind()
        ):
            self._delivery.wait(0 if self._delivery.due else 0.01)
            self._round()

    def _close(self) -> None:
        """Release every thread that waits for the broadcaster."""
        with self._lock:
            self._closed = True
            self._not_full.notify_all()
            undone = [*self._in_flight, *self._batch, *self._pending]
            self._pending = []
        for item in undone:  # empty unless the broadcaster has failed
            if isinstance(item, Awaited):
                item.why_not = SERVER_FAILED
                item.settled.set()
            elif isinstance(item, Barrier):
                item.reached.set()
            elif isinstance(item, Proposal) and isinstance(item.entry, Leave) and item.author:
                item.author.gone.set()
        for listener in self._delivery.close():
            with self._lock:
                if listener.not_full:
                    listener.not_full.notify_all()
        self._finished.set()


def is_backlogged(listener: Listener) -> bool:
    """Whether more direct records than allowed wait for the listener."""
    return listener.direct_bytes > DIRECT_BYTES
