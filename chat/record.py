"""The record: one line of history.txt, and one line on the wire (docs/protocol.md, R2 and R3).

    record  = time TAB address TAB name TAB kind TAB text LF        UTF-8, no quoting, no escaping
    time    = 2026-11-21T10:15:42.123Z      UTC, milliseconds
    address = an IP address; "-" for the host
    name    = 1 to 24 characters, no white space, no control or format characters, NFC, no "/" in front
    kind    = lower-case letters; after a slash if it is direct: for one client, never in history
    text    = no TAB, no control characters, at most 4,096 bytes; may be empty

Writing is strict: what people type goes through `clean` and `clean_name`, once. Reading is lenient where that
is harmless: `parse` checks that there are five fields, each of the right shape, and that the time is valid,
but accepts whatever an editor may have left in the text.

Everything here is pure: no I/O and no clock.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime

TIME_BYTES = len("2026-11-21T10:15:42.123Z")
TEXT_BYTES = 4096  # R26: a screenful
NAME_CHARACTERS = 24  # R13: fits a column of names beside the text
# The longest record: time 24, address 45, name 24 of 4 bytes, kind, separators.
RECORD_BYTES = TEXT_BYTES + 256

RESERVED_NAMES = frozenset({"server", "host", "everyone"})  # R15: only the server uses these
NOBODY = "-"  # the address of the host and of the server

# R36: why somebody leaves, the text of a `leave`. The first four are breaks, from which a client comes back.
LEFT_LOST = "connection lost"
LEFT_CLOSED = "connection closed"
LEFT_RECONNECTING = "reconnecting"
LEFT_SERVER_STOPPED = "the server stopped"
LEFT_EXIT = "exit"
LEFT_BANNED = "banned"
LEFT_EXPELLED = "expelled"
LEFT_KICKED = "kicked by "  # followed by who did it, and why


class NotARecord(ValueError):
    """The line is not a record."""


class BadName(ValueError):
    """The name can't be used; the message says why, in one sentence for whoever sent it."""


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that happened. `time` is UTC in ISO 8601 with milliseconds, as in the file."""

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
_MINUTE = _DATE + rb"T(?:[01]\d|2[0-3]):[0-5]\d"
_SECOND = rb":[0-5]\d\.\d{3}Z"
_TIME = _MINUTE + _SECOND
_ADDRESS = rb"(?:[0-9A-Fa-f.:]+|-)"
_NAME = rb"[^\t\n\v\f\r /][^\t\n\v\f\r ]*"

_RECORD = re.compile(rb"(%s)\t(%s)\t(%s)\t(/?[a-z]+)\t([^\t\n]*)" % (_TIME, _ADDRESS, _NAME))

# R4: a history record that is fit to be sent, and a run of them: what `parse` accepts, but not direct, with a
# text of legal length, and without what `clean` removes, which an editor may have left. In UTF-8 that is
# behind C2 (C1 controls) or E2 (separators, bidirectional overrides); the rest goes by in one step.
_ALLOWED = rb"\xc2(?![\x80-\x9f])|\xe2(?!\x80[\xa8-\xae]|\x81[\xa6-\xa9])"
_CLEAN_NAME = rb"[^\x00-\x20\x7f\xc2\xe2]*+(?:(?:%b)[^\x00-\x20\x7f\xc2\xe2]*+)*+" % _ALLOWED
_CLEAN_TEXT = rb"[^\x00-\x1f\x7f\xc2\xe2]*+(?:(?:%b)[^\x00-\x1f\x7f\xc2\xe2]*+)*+" % _ALLOWED
_HISTORY_HEAD = rb"%b\t%b\t(?![/\t])%b\t" % (_TIME, _ADDRESS, _CLEAN_NAME)
_HISTORY_TEXT = rb"\t(?=[^\n]{0,%d}\n)%b\n" % (TEXT_BYTES, _CLEAN_TEXT)
_HISTORY = _HISTORY_HEAD + rb"[a-z]+" + _HISTORY_TEXT
HISTORY_RECORD = re.compile(rb"^" + _HISTORY, re.MULTILINE)
HISTORY_RECORDS = re.compile(rb"(?:" + _HISTORY + rb")++")
HISTORY_KINDS = re.compile(rb"^" + _HISTORY_HEAD + rb"([a-z]+)" + _HISTORY_TEXT, re.MULTILINE)  # each one's

# What somebody said in lines that `parse` takes: (the minute, as 2026-11-21T10:15; the name).
SPOKEN = re.compile(
    rb"^(%s)%s\t%s\t(%s)\t(?:message|action)\t[^\t\n]*$" % (_MINUTE, _SECOND, _ADDRESS, _NAME), re.MULTILINE
)


def is_time(text: str) -> bool:
    """Whether this is a time in the format of a record."""
    return re.fullmatch(_TIME, text.encode(errors="replace")) is not None


def parse(line: bytes) -> Record:
    """The record in a line, with or without its LF. Invalid UTF-8 reads as U+FFFD. Raises NotARecord."""
    fields = _RECORD.fullmatch(line.removesuffix(b"\n"))
    if fields is None:
        raise NotARecord("a record is five fields with a TAB between them: time, address, name, kind, text")
    time, address, name, kind, text = (field.decode(errors="replace") for field in fields.groups())
    return Record(time, address, name, kind, text)


def is_record(line: bytes) -> bool:
    """Whether `parse` accepts the line."""
    return _RECORD.fullmatch(line.removesuffix(b"\n")) is not None


def could_begin(start: bytes) -> bool:
    """Whether these bytes, a file without any LF, could be the beginning of a record (or are empty)."""
    template = b"2026-11-21T10:15:42.123Z\t"
    digits_as_zero = start[: len(template)].translate(bytes.maketrans(b"123456789", b"000000000"))
    return template.translate(bytes.maketrans(b"123456789", b"000000000")).startswith(digits_as_zero)


# ------------------------------------------------------------------------------------------------ writing


def format_time(seconds: float) -> str:
    """Seconds since 1970 in the format of a record, truncated to milliseconds."""
    return (
        datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
    )


def draft(address: str, name: str, kind: str, text: str = "") -> bytes:
    """A record without its time, which `stamp` adds when the record is written.

    Drafts can be concatenated: b"".join(drafts) is the draft of several records.
    """
    return f"\t{address}\t{name}\t{kind}\t{text}\n".encode()


def draft_lines(address: str, name: str, kind: str, lines: bytes) -> bytes:
    """The drafts of many records by one person: `lines` are clean texts, each ended by LF."""
    head = f"\t{address}\t{name}\t{kind}\t".encode()
    return head + lines[:-1].replace(b"\n", b"\n" + head) + b"\n"


def stamp(time: str, drafts: bytes) -> bytes:
    """The drafts as records with this time; what has its own time already keeps it.

    No text contains a TAB, so LF TAB is where a draft begins.
    """
    bare = time.encode()
    stamped = drafts.replace(b"\n\t", b"\n" + bare + b"\t")
    return bare + stamped if drafts.startswith(b"\t") else stamped


def stamped_size(drafts: bytes) -> int:
    """How many bytes `stamp` would return for the drafts."""
    return len(drafts) + TIME_BYTES * drafts.count(b"\n")


# ----------------------------------------------------------------------------------------------- cleaning

# A run of lines of the most common kind: printable ASCII, and a message rather than a command. Cleaning would
# not change them, so one match does for all. Possessive, so that the match never backtracks.
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
    """R25: a typed line as the text of a record. Its length is not checked yet.

    A TAB becomes a space; control characters (a trailing CR among them), bidirectional overrides and line
    separators are removed; invalid UTF-8 becomes U+FFFD. Emoji, combining marks and all scripts stay.
    """
    if not _UNPRINTABLE_ASCII.search(line):
        return line.decode("ascii")
    return clean_text(line.decode(errors="replace"))


def clean_text(text: str) -> str:
    """The same for a str."""
    return _UNWANTED.sub("", text.replace("\t", " "))


def shorten(text: str, limit: int = TEXT_BYTES) -> str:
    """The text, cut to at most `limit` bytes of UTF-8, with an ellipsis at the cut."""
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    return encoded[: limit - len("…".encode())].decode(errors="ignore") + "…"


# -------------------------------------------------------------------------------------------------- names

# R13: which code points a name may have. It follows PRECIS: RFC 8266 (nicknames), on the FreeformClass of RFC
# 8264. The properties that `unicodedata` lacks are listed here; a test checks them against Unicode's files.

# Invisible characters: Default_Ignorable_Code_Point of Unicode 15 (which includes code points reserved for
# more of them, so it hardly changes), and four that are blank although Unicode doesn't list them there.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f-\u1160\u17b4-\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
    "\u2800\U00013441-\U00013442\U0001d159]"
)
# RFC 8264, 9.9, OldHangulJamo: parts of syllables, which a font may join so that they look like another name.
_OLD_HANGUL_JAMO = re.compile("[\u1100-\u11ff\ua960-\ua97c\ud7b0-\ud7c6\ud7cb-\ud7fb]")
# No character decomposes into more than four (NFD): anything longer can't be a name, and isn't processed.
_LONGEST_NAME = 4 * NAME_CHARACTERS
_LONGEST_KEY = 18 * NAME_CHARACTERS  # a ligature decomposes into up to 18 (NFKD)


def clean_name(text: str) -> str:
    """The name in its written form: cleaned, stripped, in NFC. Raises BadName."""
    name = clean_text(text).strip()
    if len(name) <= _LONGEST_NAME:
        name = unicodedata.normalize("NFC", name)
    if len(name) > NAME_CHARACTERS:
        raise BadName(
            f"That name has {len(name)} characters; at most {NAME_CHARACTERS} are allowed. Try a shorter one."
        )
    if not _INVISIBLE.sub("", name):
        raise BadName("A name needs at least one visible character; try another.")
    if name.startswith("/"):
        raise BadName("A name can't begin with a slash; try another.")
    for character in name:
        _check_character(character)
    return name


def _check_character(character: str) -> None:
    """Raises BadName for a character that no name may contain."""
    category = unicodedata.category(character)
    if character.isspace():
        raise BadName("A name can't contain spaces; try another.")
    if category in ("Cc", "Cf", "Cs"):
        raise BadName("A name can't contain invisible characters; try another.")
    # Unassigned (in this Python's version of Unicode) or for private use: nobody knows what they look like,
    # or what they will be equivalent to.
    if category in ("Cn", "Co") or _OLD_HANGUL_JAMO.match(character):
        raise BadName(
            f"A name can't contain U+{ord(character):04X}, which computers show differently; try another."
        )


def visible(name: str) -> str:
    """The name without its invisible characters."""
    return _INVISIBLE.sub("", unicodedata.normalize("NFKD", name))  # decomposed: one may be hidden inside


def name_key(name: str) -> str:
    """R14: what must be unique. Two names with the same key look the same, or differ in case only.

    The key of a key is the key itself. Text that is too long for either has the key "", which no name has.
    """
    if len(name) > _LONGEST_KEY:
        return ""
    folded = unicodedata.normalize("NFKC", visible(name)).casefold()
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", folded))
