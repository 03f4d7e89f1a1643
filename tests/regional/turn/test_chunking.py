"""Where a reply's text is cut into pieces for the voice."""

import random
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from repartee.turn.chunking import Chunker, ChunkPolicy, has_words, is_unspaced, speakable

LATER = ChunkPolicy(first_clause_chars=40)
"""The rules for every piece but the first, for the first too."""


def chunks(text: str | list[str], policy: ChunkPolicy = LATER) -> list[str]:
    """The pieces of a text that comes at once, or in these tokens; the last is what is left at the end."""
    chunker = Chunker(policy)
    tokens = [text] if isinstance(text, str) else text
    pieces = [piece for token in tokens for piece in chunker.feed(token)]
    return [*pieces, rest] if (rest := chunker.finish()) else pieces


class TestOneToken:
    @pytest.mark.parametrize("unit", ["x", "word ", ".", "Dr. ", "a, ", " - ", "No. ", " ", "\u4f60", "["])
    def test_of_any_length_takes_time_in_proportion(self, unit: str) -> None:
        def seconds(length: int) -> float:
            text = unit * (length // len(unit))
            began = time.process_time()
            assert "".join(chunks(text)) == text
            return time.process_time() - began

        # In proportion it would be tenfold, for what is quadratic a hundredfold.
        assert seconds(300_000) < 30 * min(seconds(30_000) for _ in range(3))


class TestSentences:
    @pytest.mark.parametrize("mark", list(".!?:;…"))
    def test_each_ends_a_piece(self, mark: str) -> None:
        assert chunks(f"So{mark} Then") == [f"So{mark}", " Then"]

    @pytest.mark.parametrize("mark", list(".!?:;"))
    def test_at_the_last_token_it_is_not_waited_for_the_next(self, mark: str) -> None:
        chunker = Chunker(LATER)
        assert chunker.feed("So") == []
        assert chunker.feed(mark) == [f"So{mark}"]

    @pytest.mark.parametrize(
        "text",
        [
            "It costs 3.50 pounds",
            "We open at 10:30 today",
            "You have 1,000 points",
            "Version 2.1.3 is out",
            "Ask Dr. Smith",
            "Mrs. Jones and Mr. Bean",
            "Bring e.g. a passport",
            "That is, i.e. tomorrow",
            "J. R. Smith called",
            "It is 9 a.m. there",
            "Room No. 5 is free",
            "On St. James Street",
            "Write to info@clinic.org please",
            "Go to example.com for more",
            "It runs on Node.js here",
            "She has a Ph.D. in law",
            "It is a U.S. holiday today",
            "Come on Jan. 5 at nine",
            "Der Termin ist am 3. Mai um neun",
            "Wir haben z. B. Brot",
            "Wir haben z.B. Brot",
            "Le atiende la Sra. López hoy",
            "Ich verbinde mit Hr. Meier",
            "That is Acme Inc. in Berlin",
            "Tell M. Dupont and C. Lee",
            "It is <spell>AB, 12</spell> then",
        ],
    )
    def test_not_every_mark_is_an_end(self, text: str) -> None:
        assert chunks(text) == [text]
        assert chunks(list(text)) == [text]

    @pytest.mark.parametrize(
        "tokens",
        [["See", " example", ".com", " for more"], ["At", " https", "://", "example", ".org", "/a?b", "=c"]],
    )
    def test_addresses_stay_whole_as_models_write_them(self, tokens: list[str]) -> None:
        assert chunks(tokens) == ["".join(tokens)]

    def test_a_digit_before_a_mark_at_the_last_token_waits_for_the_next(self) -> None:
        chunker = Chunker(LATER)
        assert chunker.feed("It costs 3.") == []
        assert chunker.feed("50") == []
        assert chunker.feed(". ") == ["It costs 3.50."]

    def test_a_reply_that_ends_in_a_number_is_whole(self) -> None:
        assert chunks(["It costs 3", "."]) == ["It costs 3."]

    def test_no_is_an_answer_unless_a_number_follows(self) -> None:
        assert chunks("No. I cannot") == ["No.", " I cannot"]
        assert Chunker(LATER).feed("No.") == ["No."]
        assert Chunker(LATER).feed("Oh no.") == ["Oh no."]

    def test_a_list_has_its_numbers_with_its_items(self) -> None:
        assert chunks("Choose:\n1. Tea\n2. Coffee") == ["Choose:", "\n1. Tea\n2. Coffee"]

    @pytest.mark.parametrize("marks", ["...", "?!", "!!", "…", ".)", '."', "?”"])
    def test_marks_in_a_row_are_not_parted(self, marks: str) -> None:
        end = marks.rstrip(')"”')
        assert chunks(f"Well{marks} And then")[0] in (f"Well{marks}", f"Well{end}")

    def test_quotes_may_close_after_the_mark(self) -> None:
        assert chunks('He said "no." Then he left') == ['He said "no.', '" Then he left']

    def test_marks_without_words_belong_to_what_follows(self) -> None:
        assert chunks("... and so. On") == ["... and so.", " On"]

    def test_a_flood_of_marks_is_cut_all_the_same(self) -> None:
        assert [len(piece) for piece in chunks("." * 200)] == [80, 80, 40]


class TestClauses:
    def test_a_comma_counts_past_forty_characters(self) -> None:
        forty = "x" * 39 + ","
        assert chunks(f"{forty} and") == [f"{forty} and"]
        forty_one = "x" * 40 + ","
        assert chunks(f"{forty_one} and") == [forty_one, " and"]

    def test_the_space_before_it_does_not_count(self) -> None:
        text = " " + "x" * 39 + ", and"
        assert chunks(text) == [text]

    @pytest.mark.parametrize("dash", [" - ", " – ", " — ", "—"])
    def test_so_does_a_dash(self, dash: str) -> None:
        text = "x" * 41 + dash + "and so on"
        pieces = chunks(text)
        assert len(pieces) == 2
        assert pieces[0] == ("x" * 41 + dash).rstrip()

    @pytest.mark.parametrize("text", ["well-known", "9–5", "minus -5", "x -"])
    def test_not_every_dash_is_one(self, text: str) -> None:
        text = "x" * 41 + " " + text
        assert chunks(text) == [text]

    def test_a_thousands_comma_is_none(self) -> None:
        text = "The total that is due this month comes to 1,000 pounds"
        assert chunks(text) == [text]
        assert chunks(list(text)) == [text]


class TestMaximum:
    def test_past_eighty_it_is_cut_between_words(self) -> None:
        text = "word " * 20
        pieces = chunks(text)
        assert pieces[0] == ("word " * 16).rstrip()
        assert all(len(piece) <= 80 for piece in pieces)

    def test_a_word_longer_than_that_is_cut_at_the_maximum(self) -> None:
        assert [len(piece) for piece in chunks(" " + "x" * 200)] == [80, 80, 41]

    def test_a_language_without_spaces_is_cut_between_its_letters(self) -> None:
        text = "今日は天気がとてもいいですね" * 10
        pieces = chunks(text)
        assert all(len(piece) == 80 for piece in pieces[:-1])

    @pytest.mark.parametrize("mark", list("。！？："))
    def test_its_marks_end_sentences_without_a_space(self, mark: str) -> None:
        assert chunks(f"はい{mark}そうです") == [f"はい{mark}", "そうです"]

    def test_its_comma_ends_a_clause(self) -> None:
        text = "あ" * 41 + "、いいえ"
        assert chunks(text) == ["あ" * 41 + "、", "いいえ"]

    def test_a_cut_does_not_part_a_mark_from_its_word(self) -> None:
        text = "あ" * 80 + "。" + "い"
        assert chunks(text)[0] == "あ" * 79


class TestFirstPiece:
    """It decides when the caller hears something, so it may be short."""

    def test_a_short_clause_is_enough(self) -> None:
        assert chunks("Of course, let me see", ChunkPolicy()) == ["Of course,", " let me see"]

    def test_but_not_one_that_sounds_clipped(self) -> None:
        assert chunks("Well, let me see", ChunkPolicy()) == ["Well, let me see"]

    def test_the_second_follows_the_rules_for_all(self) -> None:
        assert chunks("Of course, yes, of course, yes", ChunkPolicy()) == [
            "Of course,",
            " yes, of course, yes",
        ]

    def test_after_a_finish_the_first_piece_is_behind(self) -> None:
        chunker = Chunker(ChunkPolicy())
        chunker.feed("One moment")
        assert chunker.finish() == "One moment"
        assert chunker.feed("Of course, yes") == []
        assert chunker.finish() == "Of course, yes"
        assert chunker.finish() == ""


texts = st.text(
    alphabet=st.one_of(
        st.sampled_from(" .,:;!?-–—…\n\"'()*0123456789aeINoDr。、今"), st.characters(codec="utf-8")
    ),
    max_size=300,
)


def tokenised(text: str, seed: int) -> list[str]:
    dice = random.Random(seed)
    tokens = []
    while text:
        length = dice.randint(1, 7)
        tokens.append(text[:length])
        text = text[length:]
    return tokens


@given(texts, st.integers(0, 1000))
@example("." * 81 + "a", 0)
def test_the_pieces_are_the_text(text: str, seed: int) -> None:
    policy = ChunkPolicy()
    pieces = chunks(tokenised(text, seed), policy)
    assert "".join(pieces) == text
    assert all(len(piece) <= policy.max_chars for piece in pieces)
    assert all(has_words(piece) or len(piece) >= policy.max_chars for piece in pieces[:-1])


words = st.sampled_from(["yes", "the", "balance", "of", "account", "tomorrow", "extraordinarily", "ten"])
joints = st.sampled_from([" ", " ", " ", ", ", ". ", "? ", "! ", "; ", " - ", "... "])


@given(st.lists(st.tuples(words, joints), max_size=60), st.integers(0, 1000), st.integers(0, 1000))
def test_ordinary_text_is_cut_the_same_however_it_is_tokenised(
    parts: list[tuple[str, str]], one: int, other: int
) -> None:
    """A row of dots is one token here: only the next token could tell that a dot is one of three."""
    tokens = [token for word, joint in parts for token in (word, joint)]
    text = "".join(tokens)
    whole = chunks(text, ChunkPolicy())
    assert chunks(tokens, ChunkPolicy()) == whole
    if "..." not in text:
        assert chunks(tokenised(text, one), ChunkPolicy()) == whole
        assert chunks(tokenised(text, other), ChunkPolicy()) == whole


class TestSpeakable:
    @pytest.mark.parametrize(
        ("written", "spoken"),
        [
            ("**Ten** pounds", "Ten pounds"),
            ("*Ten* pounds", "Ten pounds"),
            ("It is _very_ late.", "It is very late."),
            ("__Really__, ~~no~~ yes", "Really, no yes"),
            ("Run `ls` now", "Run ls now"),
            ("# Balance\nTen", "Balance\nTen"),
            ("### Balance", "Balance"),
            ("- one\n- two\n* three\n• four", "one\ntwo\nthree\nfour"),
            ("See [our page](https://example.com) for more", "See our page for more"),
            ('*"Ten."* he said', '"Ten." he said'),
        ],
    )
    def test_markup_is_not_read_out(self, written: str, spoken: str) -> None:
        assert speakable(written) == spoken

    @pytest.mark.parametrize(
        "text",
        [
            "5*3 is 15",
            "2 * 3",
            "Press * or #.",
            "Press *.",
            "C# and F#",
            "snake_case",
            "a - b",
            "It is -5",
            "~5 minutes",
        ],
    )
    def test_what_only_looks_like_it_is(self, text: str) -> None:
        assert speakable(text) == text

    def test_a_piece_does_not_begin_with_the_end_of_the_one_before(self) -> None:
        assert speakable('" Then he left') == " Then he left"
        assert speakable("!! Really") == " Really"
        assert speakable(".5 or so") == ".5 or so"

    def test_a_space_between_pieces_stays(self) -> None:
        assert speakable(" and so") == " and so"


@pytest.mark.parametrize(
    ("character", "unspaced"),
    [("今", True), ("ก", True), ("。", True), ("a", False), ("é", False), ("한", False)],
)
def test_scripts_without_spaces(character: str, unspaced: bool) -> None:
    assert is_unspaced(character) is unspaced
