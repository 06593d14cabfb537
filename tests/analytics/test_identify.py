"""The process that tells languages."""

from __future__ import annotations

from analytics.identify import Identifier, count

TEXTS = ["good morning everyone, how are you", "wer kommt mit zum Essen?", "ok", "wer kommt mit zum Essen?"]


def test_it_counts_as_this_process_would() -> None:
    identifier = Identifier()
    assert identifier.ask(TEXTS).result() == count(TEXTS) == {"en": 1, "de": 2, "unknown": 1}
    identifier.close()


def test_it_ends_when_it_is_not_asked() -> None:
    identifier = Identifier()
    identifier.close()
    assert identifier.process.poll() is not None


def test_where_it_fails_the_answer_is_found_here() -> None:
    identifier = Identifier()
    identifier.process.kill()
    assert identifier.ask(TEXTS).result() == count(TEXTS)
    identifier.close()


def test_nobody_waits_for_an_answer_that_nobody_needs() -> None:
    identifier = Identifier()
    answer = identifier.ask(TEXTS)
    identifier.close()
    assert answer.result(timeout=30) in (count(TEXTS), {})
