"""What a voice is given, and what the history keeps of it."""

import pytest
from tests.regional.turn.conversation import Conversation

from repartee.turn import commands as c
from repartee.turn.languages import LANGUAGES
from repartee.turn.policy import TurnPolicy
from repartee.turn.spoken_form import spoken_form
from repartee.turn.spoken_numbers import SIGNS


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("**Yes**, `today`.", "Yes, today."),
        ("See [our page](https://a.example).", "See our page."),
        ("https://www.example.com/hours", "example dot com slash hours"),
        ("Go to example.com.", "Go to example dot com."),
        ("info@clinic.org", "info at clinic dot org"),
        ("Great 😀 news 🇩🇪!", "Great news !"),
        ("I have 3 of 1,250.", "I have three of one thousand two hundred fifty."),
        ("It is 3.5 or 15%.", "It is three point five or fifteen percent."),
        ("In 1999 and 2024.", "In nineteen ninety-nine and twenty twenty-four."),
        ("At 9:05 or 14:30.", "At nine oh five or fourteen thirty."),
        ("It costs $12.50, or €1.", "It costs twelve dollars fifty, or one euro."),
        ("5 USD or 20 GBP", "five dollars or twenty pounds"),
        ("Call 555-123-4567.", "Call five five five, one two three, four five six seven."),
        ("Number 0042.", "Number zero zero four two."),
    ],
)
def test_it_is_made_speakable(written: str, said: str) -> None:
    assert spoken_form(written, "en") == said
    assert spoken_form(said, "en") == said, "what is said already stays"


@pytest.mark.parametrize(
    "text",
    ["COVID-19", "A4", "Version 1.2.3", "2026-11-26", "11/26/2026", "<spell>AB 12</spell>", "C# 5*3"][:6],
)
def test_what_depends_on_what_surrounds_it_is_left(text: str) -> None:
    assert spoken_form(text, "en") == text


@pytest.mark.parametrize(
    ("language", "written", "said"),
    [
        ("de", "12,50 € um 14:30 Uhr, 3,5 %", "zwölf Euro fünfzig um vierzehn Uhr dreißig, drei Komma fünf Prozent"),
        ("fr", "80 €, 3,5 %", "quatre-vingts euros, trois virgule cinq pour cent"),
        ("es", "21 $ y 3 €", "veintiún dólares y tres euros"),
        ("it", "1 $ e 2 $", "un dollaro e due dollari"),
        ("pt", "12 € às 9:30", "doze euros às nove horas e trinta"),
        ("nl", "5 € om 9:30", "vijf euro om negen uur dertig"),
        ("ja", "¥500、3時", "五百円、三時"),
        ("hi", "₹200, 3.5%", "दो सौ रुपये, तीन दशमलव पाँच प्रतिशत"),
        ("pl", "1 zł, 22 zł, 5 zł", "jeden złoty, dwadzieścia dwa złote, pięć złotych"),
    ],
)  # fmt: skip
def test_by_language(language: str, written: str, said: str) -> None:
    assert spoken_form(written, language) == said


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_has_its_words(language: str) -> None:
    row = SIGNS[language]
    assert all((row.point, row.minus, row.percent, row.at, row.dot, row.slash, row.dash))
    assert set(row.currencies) == set("€$£¥₹") | {"zł"}
    for written in ("7", "1250", "8,5 %", "info@a.org", "3 €", "$2"):
        assert not any(sign in spoken_form(written, language) for sign in "0123456789@%€$")


def answered(policy: TurnPolicy | None = None) -> Conversation:
    talk = Conversation(policy)
    talk.caller_says("What does it cost?")
    talk.model_writes("It costs $12.50, all in.")
    talk.model_ends()
    return talk


def test_the_voice_is_given_the_one_and_the_transcript_the_other() -> None:
    talk = answered()
    assert "".join(talk.said()) == "It costs twelve dollars fifty, all in."
    assert "".join(words.text for words in talk.all(c.ReplyWords)) == "It costs $12.50, all in."


def test_it_is_a_setting() -> None:
    talk = Conversation(TurnPolicy(raw=True))
    talk.caller_says("What does it cost?")
    talk.model_writes("**It** costs $12.50.")
    talk.model_ends()
    assert "".join(talk.said()) == "**It** costs $12.50."


@pytest.mark.parametrize(
    ("heard_ms", "history"),
    [(250, "It costs"), (450, "It costs"), (550, "It costs $12.50,"), (650, "It costs $12.50, all")],
)
def test_an_answer_that_is_cut_ends_in_what_was_written(heard_ms: int, history: str) -> None:
    talk = answered()
    talk.voice_speaks(1_000)
    words = ["It", "costs", "twelve", "dollars", "fifty,", "all", "in."]
    talk.voice_tells_words(*((word, 100.0 * n, 100.0 * n + 100) for n, word in enumerate(words)))
    talk.voice_ends()
    talk.wait(heard_ms / 1000 - 0.05)
    talk.wait(0.05)
    talk.caller_starts("No, wait, I meant")
    assert talk.told[1] == f"assistant: {history}"
