"""What no font of this computer has is shown as such, and only while the picture is saved."""

from __future__ import annotations

import matplotlib.pyplot as plt

from analytics import fonts

PRIVATE_USE = "\U000f1234"  # no font has a character for it


def test_a_character_without_a_font_is_noted() -> None:
    figure, axes = plt.subplots()
    axes.set_title(f"alice {PRIVATE_USE}")
    with fonts.drawable(figure):
        assert axes.get_title() == "alice □"
        assert fonts.NO_FONT in [text.get_text() for text in figure.texts]
    assert axes.get_title() == f"alice {PRIVATE_USE}"
    assert not figure.texts
    plt.close(figure)


def test_what_every_font_has_is_left_alone() -> None:
    figure, axes = plt.subplots()
    axes.set_title("alice, bob")
    with fonts.drawable(figure):
        assert axes.get_title() == "alice, bob"
        assert not figure.texts
    plt.close(figure)
