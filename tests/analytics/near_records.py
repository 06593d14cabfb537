"""Lines that are records, or nearly, and what the grammar itself makes of them."""

from __future__ import annotations

from hypothesis import strategies as st

from chat import record
from chat.record import NotARecord, Record

NOON = b"2026-11-21T12:00:00.000Z"
HELLO = NOON + b"\t10.0.0.1\talice\tmessage\thello\n"


def by_the_grammar(data: bytes) -> tuple[list[Record], list[int]]:
    """The records and the numbers of the skipped lines, as chat.record says."""
    records, skipped = [], []
    for number, line in enumerate(data.split(b"\n")[:-1], 1):
        try:
            parsed = record.parse(line)
            if parsed.direct:
                raise NotARecord
            records.append(parsed)
        except NotARecord:
            skipped.append(number)
    return records, skipped


# Lines that are records nearly: what a field may be, and what it may just not be.
times = st.one_of(
    st.just(NOON),
    st.integers(0, 9).map(lambda minute: NOON[:15] + str(minute).encode() + NOON[16:]),
    st.from_regex(rb"\A[0-2]\d{3}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d\.\d{3}Z\Z"),
    st.binary(min_size=24, max_size=24),
    st.tuples(st.integers(0, 23), st.binary(min_size=1, max_size=1)).map(
        lambda change: NOON[: change[0]] + change[1] + NOON[change[0] + 1 :]
    ),
    st.sampled_from([NOON[:-1], NOON + b"0", b"2026-02-29" + NOON[10:], b"0000-01-01" + NOON[10:]]),
)
addresses = st.sampled_from([b"-", b"10.0.0.1", b"fe80::1", b"", b"10.0.0.1 ", b"host", b"::ffff:1.2.3.4"])
names = st.one_of(
    st.sampled_from(
        [b"alice", "李雷".encode(), b"NA", b"null", b"007", b'"al', b"a b", b"/a", b"", b"\xff\xfe"]
    ),
    st.binary(max_size=200),
)
kinds = st.sampled_from([b"message", b"action", b"join", b"/msg", b"//", b"Message", b"", b"a1"])
texts = st.one_of(st.binary(max_size=12), st.text(max_size=12).map(str.encode), st.just(b"x" * 5000))
lines = st.one_of(
    st.tuples(times, addresses, names, kinds, texts).map(b"\t".join),
    st.tuples(st.just(NOON), st.just(b"10.0.0.1"), st.just(b"bob"), st.just(b"message"), texts).map(
        b"\t".join
    ),
    st.binary(max_size=40),
)
FILES = st.lists(lines, max_size=30).map(b"\n".join)
