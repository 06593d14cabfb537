"""Who talks with whom: conversations, answers and mentions.

A conversation ends when nothing is said for half an hour. An answer is what somebody says next after
somebody else, in the same conversation.
"""

from __future__ import annotations

import re

import pandas as pd

from analytics.tables import most_first, spoken

SILENCE = pd.Timedelta(minutes=30)  # who comes back after this long begins anew


def conversations(records: pd.DataFrame) -> pd.DataFrame:
    """One row a conversation, in order: start, end (times), messages, people (how many), starter (name)."""
    said = spoken(records)
    grouped = said.groupby(_number(said), sort=False)
    table = grouped["time"].agg(start="min", end="max", messages="size")
    table["people"] = _people(said)
    table["starter"] = grouped["name"].first().astype("str")
    return table.rename_axis("conversation")


def _number(said: pd.DataFrame) -> pd.Series[int]:
    """Which conversation each message belongs to, from 0."""
    return (said["time"].diff() >= SILENCE).cumsum()


def _people(said: pd.DataFrame) -> pd.Series[int]:
    pairs = pd.DataFrame({"conversation": _number(said), "name": said["name"].cat.codes}).drop_duplicates()
    return pairs.groupby("conversation").size()


def answers(records: pd.DataFrame) -> pd.DataFrame:
    """One row an answer: time, name (who answers), to (whom), delay (since that one's last message)."""
    said = spoken(records)
    before = said.shift(1)
    answer = (said["name"].cat.codes != said["name"].cat.codes.shift(1)) & (_number(said).diff() == 0)
    return pd.DataFrame(
        {
            "time": said["time"],
            "name": said["name"].astype("str"),
            "to": before["name"].astype("str"),
            "delay": said["time"] - before["time"],
        }
    )[answer].reset_index(drop=True)


def who_answers_whom(answered: pd.DataFrame, most: int = 12) -> pd.DataFrame:
    """How often each name (rows) answered each other one (columns), for the `most` who answer most."""
    names = most_first(answered["name"].value_counts()).index[:most]
    table = pd.crosstab(answered["name"], answered["to"])
    return table.reindex(index=names, columns=names, fill_value=0)


def time_to_answer(answered: pd.DataFrame) -> pd.DataFrame:
    """For each name that answered: answers, median (Timedelta), most answers first."""
    table = answered.groupby("name")["delay"].agg(answers="size", median="median")
    return table.loc[most_first(table["answers"]).index]


# "@alice", or "alice:" or "alice," in front, as people write in chats. A bare name in a sentence is left
# alone: a name may be a word.
_MENTION = re.compile(r"(?<!\S)@(\S+)|^([^\s:,]+)[:,](?=\s)")
_AFTER_NAME = ".,:;!?)'\"’"


def mentions(records: pd.DataFrame) -> pd.DataFrame:
    """How often who (name) mentioned whom (mentioned): name, mentioned, times, most first."""
    said = spoken(records)
    people = {str(name).casefold(): str(name) for name in said["name"].cat.categories}
    found = []
    for name, text in zip(said["name"].to_numpy(object), said["text"].to_numpy(object), strict=True):
        if "@" in text or ":" in text or "," in text:
            for at, front in _MENTION.findall(text):
                mentioned = people.get((at or front).casefold()) or people.get(
                    at.rstrip(_AFTER_NAME).casefold()
                )
                if mentioned:
                    found.append((name, mentioned))
    table = pd.DataFrame(found, columns=["name", "mentioned"]).value_counts().rename("times").reset_index()
    return table.sort_values(["times", "name", "mentioned"], ascending=[False, True, True], ignore_index=True)
