"""What a history says, for those who show it: each question answered when it is first asked, and once.

A question is answered from all records and all people; then what was chosen is taken from the answer. What is
asked of the texts takes one pass over them.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analytics import conversations, habits, identify, languages, online, people, places, tables, words
from analytics.choice import Choice
from analytics.identify import Identifier
from analytics.load import Read
from analytics.tables import Per
from analytics.texts import TakenApart
from chat.record import name_key

LANGUAGE_SHARE = 0.03  # of the messages: rarer ones are as likely a mistake, and their stop words too


class NothingChosen(ValueError):
    """Nothing in the history is what was asked for; the message is a sentence that says why."""


EVERYTHING = Choice()


@dataclass(frozen=True)
class Question:
    """What is asked of a history.

    `choice.names` are as somebody types them; `by` is whether those who changed their name are one person.
    """

    choice: Choice = EVERYTHING
    zone: tzinfo = UTC
    per: Per = "minute"
    by: Literal["person", "name"] = "person"
    aliases: people.Aliases | None = None
    resolve: bool = False


class Findings:
    """The answers. Tables are as the modules give them; those of people have persons as names."""

    def __init__(self, read: Read, question: Question, identifier: Identifier | None = None) -> None:
        self.question = question
        self._identifier = identifier
        self.zone = _able_to_show(read.records["time"], question.zone)
        self.skipped = read.skipped
        self._texts = read.texts
        self._written = read.records.assign(text=self._renames(read.records))

    def _renames(self, records: pd.DataFrame) -> pd.Categorical:
        """The column text, with the new name where somebody took one, and nothing elsewhere."""
        rows = np.flatnonzero(tables.rows_of_kinds(records, ("rename",)))
        codes, names = pd.factorize(np.array(self._texts.at(rows), object))
        column = np.full(len(records), -1, np.int32)
        column[rows] = codes
        return pd.Categorical.from_codes(column, categories=names)

    # ------------------------------------------------------------------------------------------------- people

    @cached_property
    def called(self) -> dict[str, str]:
        """Each name: how the person is called whose name it is."""
        if self.question.by == "name":
            taken = self._written["text"].cat.categories.tolist()
            return {str(name): str(name) for name in [*self._written["name"].cat.categories, *taken]}
        return people.people(self._written, self.question.aliases)

    @cached_property
    def names(self) -> dict[str, list[str]]:
        """Each person's names, as they stand in the history."""
        found: dict[str, list[str]] = {}
        for name, person in self.called.items():
            found.setdefault(person, []).append(name)
        return found

    @cached_property
    def everything(self) -> pd.DataFrame:
        """All records, by person; the text only of renames."""
        return people.as_people(self._written, self.called)

    @cached_property
    def choice(self) -> Choice:
        """What is shown, with persons as names. Raises NothingChosen for a name that nobody has."""
        asked = self.question.choice
        if not asked.names:
            return asked
        keys: dict[str, list[str]] = {}
        for name, person in {**(self.question.aliases or {}), **self.called}.items():
            keys.setdefault(name_key(name), []).append(person)
        unknown = [name for name in sorted(asked.names) if name_key(name) not in keys]
        if unknown and len(self._written):
            raise NothingChosen(f"Nobody in the history is called {unknown[0]}.")
        chosen = frozenset(person for name in asked.names for person in keys.get(name_key(name), [name]))
        return Choice(asked.since, asked.until, chosen, asked.networks)

    # ------------------------------------------------------------------------------------------------ records

    @cached_property
    def _shown(self) -> NDArray[np.bool_]:
        shown = self.choice.rows(self.everything)
        if len(shown) and not shown.any():
            times = self.everything["time"]
            written = (
                time.isoformat(timespec="seconds") for time in times.iloc[[0, -1]].dt.tz_convert(self.zone)
            )
            raise NothingChosen(
                "Nothing in the history is what was asked for; it goes from {} to {}.".format(*written)
            )
        return shown

    @cached_property
    def records(self) -> pd.DataFrame:
        """The chosen records, by person; the text only of renames."""
        return self.everything if self._shown.all() else self.everything[self._shown]

    @cached_property
    def said(self) -> pd.DataFrame:
        """The chosen messages and actions, by person."""
        return self.everything[self._said]

    @cached_property
    def names_said(self) -> pd.Series[str]:
        """Under which name each of them stands in the history."""
        return self._written["name"][self._said]

    @cached_property
    def _said(self) -> NDArray[np.bool_]:
        return self._shown & tables.is_spoken(self.everything)

    @cached_property
    def complete(self) -> pd.DataFrame:
        """The chosen records as they stand in the history, with their texts."""
        rows = np.flatnonzero(self._shown)
        return self._written.iloc[rows].assign(text=pd.array(self._texts.at(rows), dtype="str"))

    # ------------------------------------------------------------------------------------------------- texts

    def begin(self) -> None:
        """Begin what takes longest and what others need not wait for: numpy works without the interpreter."""
        _ = self._languages_asked
        _ = self._apart_asked

    @property
    def _apart(self) -> TakenApart:
        return self._apart_asked.result()

    @cached_property
    def _apart_asked(self) -> Future[TakenApart]:
        pool = ThreadPoolExecutor(1)
        asked = pool.submit(self._texts.take_apart, self._said)
        pool.shutdown(wait=False)
        return asked

    @property
    def tokens(self) -> Counter[str]:
        """How often each thing between spaces was said."""
        return self._apart.tokens

    @cached_property
    def sizes(self) -> pd.DataFrame:
        """Words and characters of each message."""
        return pd.DataFrame({"words": self._apart.words, "characters": self._apart.characters})

    @cached_property
    def _languages_asked(self) -> Future[Counter[str]] | None:
        """The identifier's answer for a sample."""
        return self._identifier.ask(self._sample) if self._identifier else None

    @property
    def _sample(self) -> list[str]:
        rows = np.flatnonzero(self._said)
        return self._texts.at(rows[languages.sample(len(rows))])

    @cached_property
    def languages(self) -> pd.Series[int]:
        """Messages by language."""
        asked = self._languages_asked
        return languages.of_sample(asked.result() if asked else identify.count(self._sample), len(self.said))

    @cached_property
    def common_languages(self) -> list[str]:
        """Those in which so much is said that their stop words are none of its words."""
        spoken = self.languages.drop(languages.UNKNOWN, errors="ignore")
        return [str(code) for code in spoken[spoken >= LANGUAGE_SHARE * len(self.said)].index]

    @cached_property
    def words(self) -> pd.Series[int]:
        """How often each word was said, without the stop words of the common languages."""
        return words.words(self.tokens, self.common_languages)

    @cached_property
    def emoji(self) -> pd.Series[int]:
        """How often each emoji was used."""
        return words.emoji(self.tokens)

    @cached_property
    def links(self) -> pd.Series[int]:
        """How often each link was shared."""
        return words.links(self.tokens)

    @cached_property
    def mentions(self) -> pd.DataFrame:
        """Who mentioned whom, how often; of chosen people, whom they mentioned and who them."""
        apart = self._apart
        if self.choice.names:
            others = Choice(self.choice.since, self.choice.until, networks=self.choice.networks)
            apart = self._texts.take_apart(others.rows(self.everything) & tables.is_spoken(self.everything))
        said = self.everything.iloc[apart.addressed].assign(text=self._texts.at(apart.addressed))
        known = {people.key_of(name): person for name, person in self.called.items()}
        found = conversations.mentions(said, {**(self.question.aliases or {}), **known})
        return found[self.choice.by(found["name"]) | self.choice.by(found["mentioned"])]

    # ----------------------------------------------------------------------------------------- who, with whom

    @cached_property
    def people(self) -> pd.DataFrame:
        """What each person said: messages, words, characters, first, last, share."""
        return tables.by_name(self.said, self.sizes)

    @cached_property
    def addresses(self) -> pd.DataFrame:
        """The same by address."""
        return tables.by_address(self.said, self.sizes)

    @cached_property
    def connected(self) -> pd.DataFrame:
        """When the chosen people were there, cut to the chosen time."""
        found = online.connections(self._written)
        if self.question.by == "person":
            found = online.of_people(found.assign(name=found["name"].map(self.called)))
        found = online.within(found, self.choice.since, self.choice.until)
        return found[self.choice.by(found["name"]) & self.choice.of(found["address"])]

    @cached_property
    def online(self) -> pd.Series[int]:
        """How many of them were there from each time on."""
        return online.online(self.connected)

    @cached_property
    def end(self) -> pd.Timestamp:
        """When what is shown ends: who is still connected then is counted until then."""
        if self.everything.empty:
            return pd.Timestamp(0, tz="UTC")
        last: pd.Timestamp = self.everything["time"].iloc[-1]
        return min(last, self.choice.until) if self.choice.until is not None else last

    @cached_property
    def time_connected(self) -> pd.Series[pd.Timedelta]:
        """How long each person was there, in the chosen time."""
        return online.time_connected(self.connected, self.end)

    @cached_property
    def conversations(self) -> pd.DataFrame:
        """The conversations to which something of what was chosen belongs, each as a whole."""
        found = conversations.conversations(self.everything)
        if self.choice.everything:
            return found
        spoken = tables.is_spoken(self.everything)
        belongs = conversations.numbers(self.everything[spoken])[self._said[spoken]]
        return found.iloc[np.unique(belongs)]

    @cached_property
    def answers(self) -> pd.DataFrame:
        """The answers in the chosen time, from the chosen addresses, by and to the chosen people."""
        found = conversations.answers(self.everything)
        if self.choice.everything:
            return found
        people = self.choice.by(found["name"]) | self.choice.by(found["to"])
        said = self.everything[tables.is_spoken(self.everything)]
        addresses = said["address"].iloc[found.index]
        return found[people & self.choice.at(found["time"]) & self.choice.of(addresses)]

    @cached_property
    def time_to_answer(self) -> pd.DataFrame:
        """How soon each of the chosen people answers."""
        return conversations.time_to_answer(self.answers[self.choice.by(self.answers["name"])])

    @cached_property
    def places(self) -> pd.DataFrame:
        """Where the chosen people are: the places.MOST addresses from which most was said."""
        return places.places(self.records, self.question.resolve, places.MOST)

    @cached_property
    def streaks(self) -> pd.DataFrame:
        """On how many days each person spoke, and how many of them in a row."""
        return habits.streaks(self.said, self.zone)

    @cached_property
    def first_and_last_words(self) -> pd.DataFrame:
        """Whose word was the first of a day, and whose the last."""
        return habits.first_and_last_words(self.said, self.zone)

    # ------------------------------------------------------------------------------------------------- when

    @cached_property
    def counts(self) -> pd.Series[int]:
        """Messages per minute or what was asked for, or the next bigger bins that can be counted."""
        bigger = list(tables.MILLISECONDS)
        for per in bigger[bigger.index(self.question.per) :]:
            with suppress(ValueError):
                return self.per(per)
        raise AssertionError("days can always be counted")

    def per(self, per: Per) -> pd.Series[int]:
        """Messages per minute, hour or day. Raises ValueError where these are too many."""
        if per not in self._per:
            self._per[per] = tables.messages_per(self.said, per, self.zone)
        return self._per[per]

    @cached_property
    def _per(self) -> dict[Per, pd.Series[int]]:
        return {}

    @cached_property
    def days(self) -> tuple[pd.Timestamp, pd.Timestamp] | None:
        """The first and the last time of what is shown, whoever spoke; None of an empty history."""
        times = self.everything["time"][self.choice.at(self.everything["time"])]
        return (times.iloc[0], times.iloc[-1]) if len(times) else None

    @cached_property
    def weekday_by_hour(self) -> pd.DataFrame:
        """How much is said on an average weekday in each hour."""
        return tables.weekday_by_hour(self.said, self.zone, self.days)


def _able_to_show(times: pd.Series[pd.Timestamp], zone: tzinfo) -> tzinfo:
    """The zone, or UTC where it might need a year 0 or 10000, which there are not: after a mistyped year."""
    return zone if times.empty or (times.iloc[0].year > 1 and times.iloc[-1].year < 9999) else UTC
