"""Languages of short texts."""

from __future__ import annotations

import pytest

from analytics import languages
from tests.analytics.histories import line, records


def found(*texts: str) -> dict[str, int]:
    table = languages.languages(records(*(line("10:00", "a", text=text) for text in texts)))
    return {str(code): int(number) for code, number in table.items()}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("does anybody know why the build fails?", "en"),
        ("wer kommt mit zum Mittagessen?", "de"),
        ("muchas gracias por la ayuda", "es"),
        ("on se retrouve à midi ?", "fr"),
        ("спасибо большое", "ru"),
        ("大家早上好", "zh"),
        ("こんにちは", "ja"),
        ("ok", "unknown"),
        ("lol", "unknown"),
        ("", "unknown"),
        ("😂😂😂", "unknown"),
        ("https://example.org/does-anybody-know-why", "unknown"),
        ("@somebody_with_a_name", "unknown"),
        ("1234567890", "unknown"),
    ],
)
def test_language(text: str, code: str) -> None:
    assert found(text) == {code: 1}


def test_every_message_counts_once() -> None:
    assert found("good morning everyone", "good morning everyone", "ok") == {"en": 2, "unknown": 1}


def test_more_texts_than_are_looked_at_are_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(languages, "LOOKED_AT", 10)
    estimate = found(*(f"this is the message with number {number}" for number in range(95)), "ok", "lol")
    assert sum(estimate.values()) == 97
    assert estimate["en"] > 80


def test_nothing_said() -> None:
    assert found() == {}
