"""The login, pure: lines in, requests out. docs/protocol.md has the rules, R17 to R22."""

from __future__ import annotations

from chat import record
from chat.front.detect import front_of, is_request_line
from chat.front.session import Lines, LineTooLong
from chat.record import BadName
from chat.room.room import Resume
from chat.service.commands import BARE_WORDS
from chat.service.lookup import HISTORY_RECORDS
from chat.service.requests import Join, LoginRequest, Noted, Password, Quit, Refuse, TurnAway

# R19: time for a person to think of a name, but too short to hold many connections open with nothing.
LOGIN_SECONDS = 30
TLS_HANDSHAKE = b"\x16"  # R70: the first byte of every TLS connection

# To a browser whose request came so slowly that it was greeted; nothing that follows is a name.
NO_HTTP = "That was HTTP, on a connection that had begun as a chat; ask again."


class Login:
    """A client's input before it is in the room. `admitted`: it needs no password, or has given it."""

    def __init__(self, lines: Lines, *, admitted: bool) -> None:
        self.admitted = admitted
        self._lines = lines
        self._replay: int | None = HISTORY_RECORDS
        self._wants_session = False
        self._resume: Resume | None = None
        self._secret = ""

    def feed(self, received: bytes) -> None:
        """Add received bytes."""
        self._lines.feed(received)

    def next(self) -> LoginRequest | None:
        """The next request; None if there is none yet."""
        try:
            line = self._lines.next()
        except LineTooLong as line:
            if front_of(line.start) == "http":
                return TurnAway(NO_HTTP)
            return Refuse("That line is too long for a name; send a name.")
        if line is None:
            return None
        if line.startswith(TLS_HANDSHAKE):  # a server without TLS: the client retries without it
            return Quit()
        if is_request_line(line):
            return TurnAway(NO_HTTP)
        text = record.clean(line)
        return self._option(text) if text.startswith("/") else self._name(text)

    def greeting(self, kept_in: str, first: bytes = b"") -> str:
        """The text of the `/hello`, which doesn't ask for a name that came before it, in `first`."""
        finished = first.split(b"\n")[:-1]
        if any(line and not line.startswith(b"/") for line in finished):
            how = "Every"
        else:
            password = "" if self.admitted else "This room has a password: send /password SECRET first. "
            how = f"{password}Send your name, then every"
        return (
            f"Welcome. {how} line is a message; /help lists the commands, exit leaves. "
            f"Messages are kept in {kept_in} on the host's computer."
        )

    def _option(self, text: str) -> LoginRequest:
        """A slash line before the name (R17). An unknown one changes nothing (R5)."""
        word, _, argument = text.partition(" ")
        argument = argument.strip(" ")
        if word == "/password":
            return Password(argument)
        if word == "/replay":
            return self._take_replay(argument)
        if word == "/session":
            return self._take_session(argument)
        if word == "/identify":
            self._secret = argument
            return Noted()
        if word in ("/exit", "/quit"):
            return Quit()
        return Refuse(
            "Before your name only /password, /identify, /replay and /session are accepted; "
            "send a name to join."
        )

    def _take_replay(self, argument: str) -> LoginRequest:
        if argument != "all" and not (argument.isascii() and argument.isdigit()):
            return Refuse("/replay takes a number of records, or all; send it again, or your name.")
        self._replay = None if argument == "all" else int(argument)
        return Noted()

    def _take_session(self, argument: str) -> LoginRequest:
        fields = argument.split()
        if fields and not (len(fields) == 3 and fields[1].isascii() and fields[1].isdigit()):
            return Refuse("Type /session TOKEN OFFSET TIME to resume a session; send it again, or your name.")
        self._wants_session = True
        self._resume = Resume(fields[0], int(fields[1]), fields[2]) if fields else None
        return Noted()

    def _name(self, text: str) -> LoginRequest:
        word = text.strip(" ")
        if word == "exit":
            return Quit()
        if word in BARE_WORDS:
            return Refuse("That is a command, and you are not in the room yet; send a name to join.")
        try:
            name = record.clean_name(text)
        except BadName as bad:
            return Refuse(str(bad))
        if not self.admitted:
            return Refuse("This room has a password: send /password SECRET, then your name.")
        return Join(name, self._replay, self._wants_session, self._resume, self._secret)
