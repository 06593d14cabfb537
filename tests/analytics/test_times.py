"""Times by digits: what `chat.record.parse` takes, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.times import TIME_BYTES, times
from chat import record

TRUE = ["1970-01-01T00:00:00.000Z", "2024-02-29T23:59:59.999Z", "2026-11-21T10:15:42.123Z"]
FALSE = [
    "2023-02-29T10:00:00.000Z",
    "2026-13-01T10:00:00.000Z",
    "2026-11-21T24:00:00.000Z",
    "2026-11-21T10:60:00.000Z",
    "2026-11-21T10:15:42,123Z",
    "2026-11-21 10:15:42.123Z",
]


@pytest.mark.parametrize("texts", [TRUE, FALSE, [*TRUE, *FALSE] * 3])
def test_a_time_is_what_a_record_has(texts: list[str]) -> None:
    words = np.frombuffer("".join(texts).encode(), "<u8").reshape(-1, TIME_BYTES // 8)
    milliseconds, true = times(words)
    assert true.tolist() == [record.is_time(text) for text in texts]
    expected = [
        int(np.datetime64(text[:-1], "ms").astype(np.int64)) for text in texts if record.is_time(text)
    ]
    assert milliseconds[true].tolist() == expected
