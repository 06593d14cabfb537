"""The members that speak through a browser, and the one thread that sends all their events.

    broadcaster --> [socket pair] --> this thread, which makes events --> the browser's connection

It is one thread for all, not each connection's handler, as in relay.py: with a thousand streams every message
would wake a thousand threads, which then wait for each other in Python, and make the same event a thousand
times. A handler only reads the request, and waits until its connection is done.

A stream breaks often and for nothing: a page is reloaded, a phone changes its network, a browser that has no
connection left polls. So a member outlives its stream for GRACE_SECONDS; whoever comes with the session's
token goes on where the page says that it is. Nothing is queued for a browser that does not read: one event is
held, no more is taken from the pair, and the broadcaster skips it as any full socket.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import selectors
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable

from chat.front.events import ELSEWHERE, PAUSE, SIGN_OF_LIFE, Frames, Place, session_event
from chat.front.stream import PIECE_BYTES, Stream, Subscriber, Unknown
from chat.room import liveness
from chat.room.broadcaster import Closed
from chat.room.ending import CLOSED, SERVER_STOPPED, Ending
from chat.room.room import Room

GRACE_SECONDS = 12  # R55: a reload takes two, a change of network five
CHECK_SECONDS = 1.0  # between looks at who is silent or gone
LAST_WORDS_SECONDS = 10  # for a browser to take what comes up to its own leave
STOP_SECONDS = 1  # to send the last events when the server stops; the broadcaster has had five before
POLLED_PIECES = 8  # for who polls, at once: more than the pair holds
# R56: a browser opens six connections to a host: four tabs have one each, and the others poll.
STREAMS_PER_BROWSER = 4
# Windows' select() takes 512 sockets, and a stream has two. Whoever comes later polls.
STREAMS_MOST = 200 if sys.platform == "win32" else float("inf")

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

log = logging.getLogger("chat.front.streams")


class Streams:
    """All of them, by their sessions' tokens, and the thread. It runs from `start` to `stop`.

    What is above the line is safe to use from any thread.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._lock = threading.Lock()  # guards the next two
        self._by_token: dict[str, Stream] = {}
        self._held: Counter[str] = Counter()  # connections by browser
        self.frames = Frames()
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._selector.register(self._woken, _READ)
        self._orders: collections.deque[tuple[Callable[..., None], Stream, tuple[Subscriber, ...]]] = (
            collections.deque()
        )
        self._streams: set[Stream] = set()
        self._check_at = 0.0  # time.monotonic() when to look for streams that are due
        self._stop_at = 0.0  # time.monotonic() when the thread ends at the latest; 0: not stopping
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="streams", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Send everybody the rest, once the room is closed, and end the thread."""
        self._stop_at = time.monotonic() + STOP_SECONDS
        if self._thread.ident is None:  # it was never started: what it would close remains
            self._run()
            return
        self._wake()
        self._thread.join()

    def add(self, stream: Stream) -> None:
        """A page has joined. It has GRACE_SECONDS to listen."""
        with self._lock:
            self._by_token[stream.member.token] = stream
        self._order(self._begin, stream)

    def find(self, token: str) -> Stream:
        """Raises Unknown."""
        with self._lock:
            stream = self._by_token.get(token)
        if stream is None or stream.member.ending:
            raise Unknown
        return stream

    def serve(self, stream: Stream, connection: socket.socket, head: bytes, place: Place | None) -> None:
        """Send the head, and then events from the place on, until the connection is lost or taken over.

        Raises Unknown before anything is sent. After that the connection may be closed.
        """
        held = self._hold(stream.browser)
        connection.setblocking(False)
        subscriber = Subscriber(connection, head, place, once=not held)
        try:
            self._order(self._subscribe, stream, subscriber)
            subscriber.done.wait()
        finally:
            if held:
                self._release(stream.browser)
        if subscriber.refused:
            raise Unknown

    def end(self, stream: Stream) -> None:
        """The member's connection is to end: `member.ending` says why."""
        self._order(self._leave_if_ended, stream)

    def _hold(self, browser: str) -> bool:
        """Whether this browser may hold one more connection; `_release` gives it back."""
        with self._lock:
            if self._held[browser] >= STREAMS_PER_BROWSER or self._held.total() >= STREAMS_MOST:
                return False
            self._held[browser] += 1
            return True

    def _release(self, browser: str) -> None:
        with self._lock:
            self._held[browser] -= 1
            if self._held[browser] <= 0:
                del self._held[browser]

    def _order(self, order: Callable[..., None], stream: Stream, *subscriber: Subscriber) -> None:
        self._orders.append((order, stream, subscriber))
        self._wake()
        if self._ended:
            for each in subscriber:
                each.done.set()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # it is about to wake already, or has ended
            self._waker.send(b"!")

    # ------------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        """The thread. Ends after `stop`, once everybody has the rest or the time for that is over."""
        while not self._stop_at:
            self._turn(CHECK_SECONDS if self._streams else None)
        while time.monotonic() < self._stop_at and any(stream.subscriber for stream in self._streams):
            self._turn(0.05)
        self._ended = True
        while self._orders:  # others may add to them still
            for each in self._orders.popleft()[2]:
                each.done.set()
        for stream in list(self._streams):
            self._close(stream)
        self._selector.close()
        self._woken.close()
        self._waker.close()

    def _turn(self, seconds: float | None) -> None:
        """Send what can be sent; wait for up to `seconds` if nothing can."""
        for key, events in self._selector.select(seconds):
            stream: Stream | None = key.data
            if stream is None:
                self._woken.recv(4096)
            elif key.fileobj is stream.reader:
                self._guarded(self._forward, stream)
            elif stream.subscriber and key.fileobj is stream.subscriber.connection:
                if events & _READ:
                    self._guarded(self._read_input, stream)
                if events & _WRITE:
                    self._guarded(self._flush, stream)
        while self._orders:
            order, stream, subscriber = self._orders.popleft()
            self._guarded(order, stream, *subscriber)
        now = time.monotonic()
        if now >= self._check_at:
            self._check_at = now + CHECK_SECONDS
            for stream in [each for each in self._streams if now >= each.due]:
                self._guarded(self._check, stream)

    def _guarded(self, step: Callable[..., None], stream: Stream, *subscriber: Subscriber) -> None:
        """Do a step. An error in one stream ends that one, and no other."""
        try:
            step(stream, *subscriber)
            return
        except OSError:
            pass  # the connection is lost
        except Exception:
            log.exception("an event stream failed")
            self._room.end(stream.member, CLOSED)
        self._unsubscribe(stream)
        for each in subscriber:
            each.done.set()

    # ----- coming and going

    def _begin(self, stream: Stream) -> None:
        self._streams.add(stream)
        stream.until = time.monotonic() + GRACE_SECONDS
        self._leave_if_ended(stream)

    def _subscribe(self, stream: Stream, subscriber: Subscriber) -> None:
        """Send events to this connection from now on; the one before it is told."""
        try:
            if stream.leaving or stream not in self._streams:
                raise Unknown
            missed = stream.missed(self._room.log.history, subscriber.place)
        except Unknown:
            subscriber.refused = True
            subscriber.done.set()
            self._room.end(stream.member, CLOSED)  # only a new join can go on from there
            return
        if stream.subscriber and not stream.unsent:
            with contextlib.suppress(OSError):
                stream.subscriber.connection.send(ELSEWHERE)
        self._unsubscribe(stream)
        stream.subscriber = subscriber
        self._watch_both(stream)
        self._send(stream, subscriber.head + session_event(stream.number) + missed)
        if subscriber.once:
            for _ in range(POLLED_PIECES):
                self._forward(stream)
            if stream.subscriber:
                self._send(stream, PAUSE)
                self._finish(stream)

    def _unsubscribe(self, stream: Stream) -> None:
        """Send nothing more to the browser; it has some time to come again."""
        if stream.subscriber:
            self._watch(stream, 1, 0)
            stream.subscriber.done.set()
            stream.subscriber, stream.unsent, stream.last_event = None, b"", False
            if not stream.leaving:
                stream.until = time.monotonic() + GRACE_SECONDS
        self._watch_both(stream)

    def _finish(self, stream: Stream) -> None:
        """Unsubscribe once everything is sent."""
        stream.last_event = True
        if stream.unsent:
            self._watch_both(stream)
        else:
            self._unsubscribe(stream)

    def _leave_if_ended(self, stream: Stream) -> None:
        if stream.member.ending and not stream.leaving and stream in self._streams:
            self._leave(stream, stream.member.ending)

    def _leave(self, stream: Stream, ending: Ending) -> None:
        """Take the member out. What comes up to its leave is still sent, and then the stream ends."""
        stream.leaving = True
        stream.until = time.monotonic() + LAST_WORDS_SECONDS
        with contextlib.suppress(Closed):  # the broadcaster ends the stream all the same
            self._room.begin_leave(stream.member, ending)
        reason = (stream.member.ending or ending).reason
        log.info("%s (%s) left: %s", stream.member.name, stream.member.address, reason)
        self._watch_both(stream)

    def _close(self, stream: Stream) -> None:
        """The broadcaster sends nothing more."""
        self._unsubscribe(stream)
        self._watch(stream, 0, 0)
        self._streams.discard(stream)
        with self._lock:
            if self._by_token.get(stream.member.token) is stream:
                del self._by_token[stream.member.token]
        stream.close()

    def _check(self, stream: Stream) -> None:
        """Its time is over: for a sign of life, for its last events, or for somebody to come again."""
        if stream.leaving:
            self._unsubscribe(stream)
        elif not stream.subscriber:
            self._room.end(stream.member, CLOSED)
        elif liveness.state(stream.subscriber.connection)[1]:
            self._unsubscribe(stream)
        elif not stream.unsent:
            self._send(stream, SIGN_OF_LIFE)

    # ----- sending

    def _forward(self, stream: Stream) -> None:
        """Send what the broadcaster has sent, as one event. Raises OSError where the connection is lost."""
        if not stream.reads or stream not in self._streams:
            return
        try:
            received = stream.reader.recv(PIECE_BYTES)
        except BlockingIOError:
            return
        if not received:
            self._end_of_stream(stream)
        elif stream.subscriber and (event := stream.events.take(received)):
            self._send(stream, event)

    def _end_of_stream(self, stream: Stream) -> None:
        if not stream.leaving:
            self._leave(stream, SERVER_STOPPED)
        self._close(stream)

    def _send(self, stream: Stream, event: bytes) -> None:
        """Send it, or what the socket takes of it. Raises OSError where the connection is lost."""
        stream.sent_at = time.monotonic()
        if stream.unsent:
            stream.unsent += event
            return
        assert stream.subscriber
        try:
            sent = stream.subscriber.connection.send(event)
        except BlockingIOError:
            sent = 0
        if sent < len(event):
            stream.unsent = event[sent:]
            self._watch_both(stream)

    def _flush(self, stream: Stream) -> None:
        """Send what is left of the event. Raises OSError where the connection is lost."""
        if stream.subscriber:
            event, stream.unsent = stream.unsent, b""
            self._send(stream, event)
            if not stream.unsent:
                self._unsubscribe(stream) if stream.last_event else self._watch_both(stream)

    def _read_input(self, stream: Stream) -> None:
        """A browser sends nothing here, and then hangs up. Raises OSError where the connection is lost."""
        if stream.subscriber and not stream.subscriber.connection.recv(PIECE_BYTES):
            self._unsubscribe(stream)

    def _watch_both(self, stream: Stream) -> None:
        """Have the selector report when there is something to do for the stream."""
        if stream.subscriber:
            self._watch(stream, 1, _READ | (_WRITE if stream.unsent else 0))
        self._watch(stream, 0, _READ if stream.reads and stream in self._streams else 0)

    def _watch(self, stream: Stream, which: int, events: int) -> None:
        before = stream.watched[which]
        if events == before:
            return
        stream.watched[which] = events
        assert which == 0 or stream.subscriber
        connection = stream.subscriber.connection if which and stream.subscriber else stream.reader
        if not before:
            self._selector.register(connection, events, stream)
        elif events:
            self._selector.modify(connection, events, stream)
        else:
            self._selector.unregister(connection)
