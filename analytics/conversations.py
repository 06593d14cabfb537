"""Who talks with whom: conversations, answers and mentions.

A conversation ends when nothing is said for half an hour. An answer is what somebody says next after
somebody else, in the same conversation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analytics.tables import is_spoken, most_first, spoken
from chat.record import name_key

SILENCE = pd.Timedelta(minutes=30)  # who comes back after this long begins anew


def conversations(records: pd.DataFrame) -> pd.DataFrame:
    """One row a conversation, in order: start, end (times), messages, people (how many), starter (name)."""
    said = spoken(records[["time", "name", "kind"]])
    number = numbers(said)
    start = np.flatnonzero(np.diff(number, prepend=-1))
    messages = np.diff(start, append=len(said))
    names = said["name"].cat
    table = pd.DataFrame(
        {"start": said["time"].array[start], "end": said["time"].array[start + messages - 1]}
    )
    table["messages"] = messages
    pairs = pd.unique(number * max(len(names.categories), 1) + names.codes.to_numpy(np.int64))
    table["people"] = np.bincount(pairs // max(len(names.categories), 1), minlength=len(start))
    table["starter"] = said["name"].array[start].astype("str")
    return table.rename_axis("conversation")


def numbers(said: pd.DataFrame) -> NDArray[np.int64]:
    """Which conversation each of the messages belongs to, from 0. Needs all messages."""
    return np.cumsum(_silent_before(said["time"].to_numpy("M8[ms]")))


def _silent_before(times: NDArray[np.datetime64]) -> NDArray[np.bool_]:
    """Which messages came after a silence that ends a conversation."""
    silent: NDArray[np.bool_] = np.diff(times, prepend=times[:1]) >= SILENCE.to_timedelta64()
    return silent


def answers(records: pd.DataFrame) -> pd.DataFrame:
    """One row an answer: time, name (who answers), to (whom), delay (since that one's last message).

    Indexed by the place of the answer among all messages.
    """
    spoken_rows = is_spoken(records)
    codes = records["name"].cat.codes.to_numpy()[spoken_rows]
    times = records["time"].to_numpy("M8[ms]")[spoken_rows]
    rows = np.flatnonzero((np.diff(codes, prepend=codes[:1]) != 0) & ~_silent_before(times))
    dtype = records["name"].dtype
    return pd.DataFrame(
        {
            "time": pd.DatetimeIndex(times[rows], tz="UTC"),
            "name": pd.Categorical.from_codes(codes[rows], dtype=dtype, validate=False),
            "to": pd.Categorical.from_codes(codes[rows - 1], dtype=dtype, validate=False),
            "delay": times[rows] - times[rows - 1],
        },
        index=rows,
        copy=False,
    )


def pairs(answered: pd.DataFrame) -> pd.DataFrame:
    """For each who answered whom: name, to, answers, median (Timedelta), most answers first."""
    names = answered["name"].dtype.categories.astype("str")
    both = answered["name"].cat.codes.to_numpy(np.int64) * max(len(names), 1) + answered["to"].cat.codes
    which, distinct = pd.factorize(both.to_numpy())
    table = pd.DataFrame(
        {
            "name": names[distinct // max(len(names), 1)],
            "to": names[distinct % max(len(names), 1)],
            "answers": np.bincount(which, minlength=len(distinct)),
            "median": answered["delay"].groupby(which, sort=False).median().array,
        }
    )
    return table.sort_values(["answers", "name", "to"], ascending=[False, True, True], ignore_index=True)


def who_answers_whom(answered: pd.DataFrame, most: int = 12) -> pd.DataFrame:
    """How often each name (rows) answered each other one (columns), for the `most` who take part most: who
    only answers, or is only answered, too.
    """
    part = (
        answered["name"].value_counts(sort=False).add(answered["to"].value_counts(sort=False), fill_value=0)
    )
    names = most_first(part[part > 0]).index[:most].astype("str")
    table = pd.crosstab(*(_only(answered, names)[field].astype("str") for field in ("name", "to")))
    return table.reindex(index=names, columns=names, fill_value=0)


def _only(answered: pd.DataFrame, names: pd.Index[str]) -> pd.DataFrame:
    return answered[answered["name"].isin(names) & answered["to"].isin(names)]


def time_to_answer(answered: pd.DataFrame) -> pd.DataFrame:
    """For each name that answered: answers, median (Timedelta), most answers first."""
    table = answered.groupby("name", observed=True)["delay"].agg(answers="size", median="median")
    table.index = table.index.astype("str")
    return table.loc[most_first(table["answers"]).index]


# "@alice", or "alice:" or "alice," in front, as people write in chats. A bare name in a sentence is left
# alone: a name may be a word.
_MENTION = re.compile(r"(?<!\S)@(\S+)|^([^\s:,]+)[:,](?=\s)")
_AFTER_NAME = ".,:;!?)'\"’"


def mentions(records: pd.DataFrame, called: Mapping[str, str] | None = None) -> pd.DataFrame:
    """How often who (name) mentioned whom (mentioned): name, mentioned, times, most first.

    `called` tells for a name's key (chat.record.name_key) how that person is called; otherwise the names in
    the records are known.
    """
    said = spoken(records)
    if called is None:
        called = {name_key(str(name)): str(name) for name in said["name"].cat.categories}
    found = []
    for name, text in zip(said["name"].to_numpy(object), said["text"].to_numpy(object), strict=True):
        if "@" in text or ":" in text or "," in text:
            for at, front in _MENTION.findall(text):
                mentioned = called.get(name_key(at or front)) or called.get(name_key(at.rstrip(_AFTER_NAME)))
                if mentioned:
                    found.append((name, mentioned))
    table = pd.DataFrame(found, columns=["name", "mentioned"], dtype="str").value_counts().rename("times")
    return table.reset_index().sort_values(
        ["times", "name", "mentioned"], ascending=[False, True, True], ignore_index=True
    )
