"""Digits in what a caller says, found to be hidden."""

import pytest

from repartee.turn.spoken_digits import replace_digits


def found(text: str, language: str = "en") -> tuple[str, list[str]]:
    rows: list[str] = []

    def put(place: int, digits: str) -> str:
        assert place == len(rows)
        rows.append(digits)
        return "#"

    return replace_digits(text, language, put), rows


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("My pin is 4711.", "en", ("My pin is #.", ["4711"])),
        ("It's four, seven one-one, thanks", "en", ("It's #, thanks", ["4711"])),
        ("forty seven eleven", "en", ("#", ["4711"])),
        ("4111 1111 1111 1111 until 12/29", "en", ("# until #", ["4111111111111111", "1229"])),
        ("double oh seven", "en", ("#", ["007"])),
        ("double trouble", "en", ("double trouble", [])),
        ("nine hundred", "en", ("#", ["nine hundred"])),
        ("Siebenundvierzig elf, bitte", "de", ("#, bitte", ["4711"])),
        ("cuatro siete uno uno", "es", ("#", ["4711"])),
        ("暗証番号は四七一一です", "ja", ("暗証番号は#です", ["四七一一"])),
        ("No digits here.", "en", ("No digits here.", [])),
        ("quatre sept un un", "multi", ("quatre sept un un", [])),
        ("", "en", ("", [])),
    ],
)
def test_rows_of_digits_are_found_as_figures_and_as_words(
    text: str, language: str, expected: tuple[str, list[str]]
) -> None:
    assert found(text, language) == expected
