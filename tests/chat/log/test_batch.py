"""The codec of a batch."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat import record
from chat.log import batch as codec
from chat.log import entries
from chat.log.batch import BATCH_BYTES, BATCH_OPERATIONS, Batch, LaterVersion, Operation, decode, encode
from chat.log.entries import Append, Change, Direct, Entry, Presence, TakeOver

WHO = Presence("p1", "Zoë", "10.0.0.1", session="s1")


@given(
    st.lists(
        st.builds(
            Operation,
            st.sampled_from(["append", "join", "new"]),
            st.lists(st.text(st.characters(codec="utf-8"))).map(tuple),
            st.binary(),
        )
    ),
    st.integers(0),
)
def test_a_batch_survives_encoding_and_decoding(operations: list[Operation], number: int) -> None:
    batch = Batch("life", number, operations)
    assert decode(encode(batch)) == batch


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"[]\n", b"{}\n", b'[1,"a",1,[["append","",5]]]\nlonger', b'[1,2,"a",[]]\n', b"nonsense"],
)
def test_what_is_not_a_batch_is_ignored(data: bytes) -> None:
    assert decode(data) == Batch("", 0, [])


def test_a_batch_of_a_later_version_is_refused() -> None:
    with pytest.raises(LaterVersion):
        decode(b'[2,{"whatever":1}]\n')


def test_each_entry_has_its_operation() -> None:
    said = record.draft("10.0.0.1", "Zoë", "message", "hi")
    assert [
        operation
        for entry in (
            Append(said, "p1"),
            entries.join(WHO),
            entries.rename(WHO, "Z"),
            entries.leave(WHO, "exit"),
            entries.clear("10.0.0.1", "Zoë"),
            Direct(said, "p2"),
            Change(b"", "bans", "spam", "x"),
            TakeOver(b"", "s1"),
        )
        for operation in codec.operations(entry, forget=True)
    ] == [
        Operation("append", ("p1",), said),
        Operation("join", ("p1", "Zoë", "10.0.0.1", "s1")),
        Operation("rename", ("p1", "Z")),
        Operation("leave", ("p1", "exit")),
        Operation("clear", ("10.0.0.1", "Zoë", "forget")),
        Operation("direct", ("p2",), said),
        Operation("change", ("bans", "spam", "x")),
        Operation("takeover", ("s1",)),
    ]


def test_more_drafts_than_a_batch_holds_are_cut_between_records() -> None:
    drafts = record.draft_lines("10.0.0.1", "Zoë", "message", b"some text\n" * 20_000)
    parts = [operation.drafts for operation in codec.operations(Append(drafts))]
    assert b"".join(parts) == drafts
    assert len(parts) > 1
    assert all(len(part) <= BATCH_BYTES and part.startswith(b"\t") and part.endswith(b"\n") for part in parts)


def test_runs_fit_into_batches_and_nothing_is_omitted() -> None:
    said = Append(record.draft("10.0.0.1", "Zoë", "message", "x" * 4000))
    items: list[tuple[Operation, Entry | None]] = [(codec.operations(said)[0], said)] * 200
    items += [(Operation("join", ("p", "n", "a", "")), None)] * (2 * BATCH_OPERATIONS)
    runs = list(codec.runs(items))
    assert [item for run in runs for item in run] == items
    for run in runs:
        assert len(run) <= BATCH_OPERATIONS
        assert sum(len(operation.drafts) for operation, _ in run) <= BATCH_BYTES
