"""The record: one line of history.txt, and one line on the wire (docs/protocol.md, R2 and R3).

    record  = time TAB address TAB name TAB kind TAB text LF        UTF-8, no quoting, no escaping
    time    = 2026-11-21T10:15:42.123Z      UTC, milliseconds
    address = an IP address; "-" for the host
    name    = 1 to 24 characters, no white space, no control or format characters, NFC, no "/" in front
    kind    = lower-case letters; after a slash where it is direct: for one client, never in history
    text    = no TAB, no control characters, at most 4,096 bytes; may be empty

Writing is strict: what people type goes through `clean` and `clean_name`, once. Reading is liberal where
that harms nobody: `parse` holds a line to its five fields, a true time and the shape of each field, and
leaves a text as some editor may have made it.

Everything here is pure: no input, no output, no clock of its own.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime

TIME_BYTES = len("2026-11-21T10:15:42.123Z")
TEXT_BYTES = 4096  # R26: a screenful
NAME_CHARACTERS = 24  # R13: what a column of names can hold beside the text
# The longest record: time 24, address 45, name 24 of 4 bytes, kind, separators.
RECORD_BYTES = TEXT_BYTES + 256

RESERVED_NAMES = frozenset({"server", "host", "everyone"})  # R15: only the server itself speaks as these
NOBODY = "-"  # the address of the host and of the server

# R36: why somebody leaves, the text of a `leave`. The first four are breaks, from which a client comes back.
LEFT_LOST = "connection lost"
LEFT_CLOSED = "connection closed"
LEFT_RECONNECTING = "reconnecting"
LEFT_SERVER_STOPPED = "the server stopped"
LEFT_EXIT = "exit"
LEFT_BANNED = "banned"
LEFT_EXPELLED = "expelled"
LEFT_KICKED = "kicked by "  # whom, and why


class NotARecord(ValueError):
    """The line is no record."""


class BadName(ValueError):
    """The name can't be taken; the message says why, in one sentence for the person who sent it."""


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that happened. `time` is UTC in ISO 8601 with milliseconds, as it stands in the file."""

    time: str
    address: str
    name: str
    kind: str
    text: str

    @property
    def direct(self) -> bool:
        """Whether it is for one client only, and so never in history (R10)."""
        return self.kind.startswith("/")

    def encode(self) -> bytes:
        """The line, with its LF."""
        return "\t".join((self.time, self.address, self.name, self.kind, self.text)).encode() + b"\n"


# ------------------------------------------------------------------------------------------------ reading

_YEAR = rb"(?!0000)\d{4}"
_LEAP_YEAR = rb"(?!0000)(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_DAY = rb"(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31"
_DATE = rb"(?:%s-(?:%s)|%s-02-29)" % (_YEAR, _DAY, _LEAP_YEAR)
_TIME = _DATE + rb"T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z"
_ADDRESS = rb"(?:[0-9A-Fa-f.:]+|-)"
_NAME = rb"[^\t\n\v\f\r /][^\t\n\v\f\r ]*"

_RECORD = re.compile(rb"(%s)\t(%s)\t(%s)\t(/?[a-z]+)\t([^\t\n]*)" % (_TIME, _ADDRESS, _NAME))

# R4: a record of history as it may go out on the wire, and a run of them: what `parse` takes, but not direct,
# no longer than a text may be, and without control characters that somebody's editor let in.
_HISTORY = rb"%s\t%s\t(?!/)[^\x00-\x20\x7f]+\t[a-z]+\t[^\x00-\x1f\x7f]{0,%d}\n" % (
    _TIME,
    _ADDRESS,
    TEXT_BYTES,
)
HISTORY_RECORD = re.compile(rb"^" + _HISTORY, re.MULTILINE)
HISTORY_RECORDS = re.compile(rb"(?:" + _HISTORY + rb")++")


def is_time(text: str) -> bool:
    """Whether this is a time as a record has it."""
    return re.fullmatch(_TIME, text.encode(errors="replace")) is not None


def parse(line: bytes) -> Record:
    """The record in a line, with or without its LF. Invalid UTF-8 reads as U+FFFD. Raises NotARecord."""
    fields = _RECORD.fullmatch(line.removesuffix(b"\n"))
    if fields is None:
        raise NotARecord("a record is five fields with a TAB between them: time, address, name, kind, text")
    time, address, name, kind, text = (field.decode(errors="replace") for field in fields.groups())
    return Record(time, address, name, kind, text)


def is_record(line: bytes) -> bool:
    """Whether `parse` reads a record in it."""
    return _RECORD.fullmatch(line.removesuffix(b"\n")) is not None


def could_begin(start: bytes) -> bool:
    """Whether these bytes, the first of a file without an LF, are how a record begins (or nothing at all)."""
    template = b"2026-11-21T10:15:42.123Z\t"
    digits_as_zero = start[: len(template)].translate(bytes.maketrans(b"123456789", b"000000000"))
    return template.translate(bytes.maketrans(b"123456789", b"000000000")).startswith(digits_as_zero)


# ------------------------------------------------------------------------------------------------ writing


def format_time(seconds: float) -> str:
    """Seconds since 1970 as a record writes them; what is under a millisecond is cut off."""
    return (
        datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
    )


def draft(address: str, name: str, kind: str, text: str = "") -> bytes:
    """A record that waits for its time, which `stamp` gives it when it is written.

    Drafts can be put together: b"".join(drafts) is the draft of several records.
    """
    return f"\t{address}\t{name}\t{kind}\t{text}\n".encode()


def draft_lines(address: str, name: str, kind: str, lines: bytes) -> bytes:
    """The drafts of many records by one person: `lines` is clean texts, each ended by LF."""
    head = f"\t{address}\t{name}\t{kind}\t".encode()
    return head + lines[:-1].replace(b"\n", b"\n" + head) + b"\n"


def stamp(time: str, drafts: bytes) -> bytes:
    """The records that the drafts become at this time. No text has a TAB: a draft begins at LF TAB."""
    bare = time.encode()
    return bare + drafts.replace(b"\n\t", b"\n" + bare + b"\t")


def stamped_size(drafts: bytes) -> int:
    """How many bytes `stamp` makes of the drafts."""
    return len(drafts) + TIME_BYTES * drafts.count(b"\n")


# ----------------------------------------------------------------------------------------------- cleaning

# A run of lines that are what most lines are: short printable ASCII, and a message, not a command. Cleaning
# would leave them as they are, so one match does for all. Possessive: a run is never given back bit by bit.
PLAIN_MESSAGES = re.compile(
    rb"(?:(?! *(?:clear|exit) *\n)[ -.0-~][ -~]{0,%d}\n)++" % (TEXT_BYTES - 1),
)

_UNPRINTABLE_ASCII = re.compile(rb"[^ -~]")
_UNWANTED = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0 (TAB is a space by then), DEL, C1
    "\u2028\u2029"  # line and paragraph separator
    "\u202a-\u202e\u2066-\u2069]"  # bidirectional embeddings, overrides and isolates
)


def clean(line: bytes) -> str:
    """R25: what a typed line says: the text of a record, save that its length is not yet checked.

    A TAB becomes a space; control characters (with them a trailing CR), bidirectional overrides and line
    separators go; invalid UTF-8 becomes U+FFFD. Emoji, combining marks and all scripts stay.
    """
    if not _UNPRINTABLE_ASCII.search(line):
        return line.decode("ascii")
    return clean_text(line.decode(errors="replace"))


def clean_text(text: str) -> str:
    """The same for what is text already."""
    return _UNWANTED.sub("", text.replace("\t", " "))


def shorten(text: str, limit: int = TEXT_BYTES) -> str:
    """The text, cut to so many bytes of UTF-8 with an ellipsis at the cut."""
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    return encoded[: limit - len("…".encode())].decode(errors="ignore") + "…"


# -------------------------------------------------------------------------------------------------- names

# R13: which code points a name may have. It follows PRECIS: RFC 8266 (nicknames), on the FreeformClass of
# RFC 8264. The properties that `unicodedata` lacks stand here; a test holds them against Unicode's own files.

# What shows nothing: Default_Ignorable_Code_Point of Unicode 15 (what is reserved for such is in it, so it
# hardly changes), and then four that are blank though Unicode does not count them there.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f-\u1160\u17b4-\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
    "\u2800\U00013441-\U00013442\U0001d159]"
)
# RFC 8264, 9.9, OldHangulJamo: parts of syllables, which a font may put together to look like another name.
_OLD_HANGUL_JAMO = re.compile("[\u1100-\u11ff\ua960-\ua97c\ud7b0-\ud7c6\ud7cb-\ud7fb]")
# No character comes apart into more than four (NFD): what is longer is no name, and is not looked at.
_LONGEST_NAME = 4 * NAME_CHARACTERS
_LONGEST_KEY = 18 * NAME_CHARACTERS  # and into no more than 18 where it is a ligature (NFKD)


def clean_name(text: str) -> str:
    """The name as it is written: cleaned, without space around it, in NFC. Raises BadName."""
    name = clean_text(text).strip()
    if len(name) <= _LONGEST_NAME:
        name = unicodedata.normalize("NFC", name)
    if len(name) > NAME_CHARACTERS:
        raise BadName(
            f"That name has {len(name)} characters, the most is {NAME_CHARACTERS}; try a shorter one."
        )
    if not _INVISIBLE.sub("", name):
        raise BadName("A name needs at least one character that can be seen; try another.")
    if name.startswith("/"):
        raise BadName("A name can't begin with a slash; try another.")
    for character in name:
        _check_character(character)
    return name


def _check_character(character: str) -> None:
    """Raises BadName for what no name may have in it."""
    category = unicodedata.category(character)
    if character.isspace():
        raise BadName("A name can't have a space in it; try another.")
    if category in ("Cc", "Cf", "Cs"):
        raise BadName("A name can't have characters in it that nobody sees; try another.")
    # Unassigned (in the Unicode of this Python) and private: what they look like, or what they will be equal
    # to, nobody knows.
    if category in ("Cn", "Co") or _OLD_HANGUL_JAMO.match(character):
        raise BadName(
            f"A name can't have U+{ord(character):04X} in it, which computers show differently; try another."
        )


def visible(name: str) -> str:
    """The name without the characters that show nothing."""
    return _INVISIBLE.sub("", unicodedata.normalize("NFKD", name))  # taken apart: one may stand between


def name_key(name: str) -> str:
    """R14: what must be unique. Two names with the same key look the same, or differ in case only.

    The key of a key is itself. What is too long to be either has the key "", which no name has.
    """
    if len(name) > _LONGEST_KEY:
        return ""
    folded = unicodedata.normalize("NFKC", visible(name)).casefold()
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", folded))
