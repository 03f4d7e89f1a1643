"""When a reply's pieces go to the voice, by how fast its model writes: on a virtual clock."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.regional.turn.conversation import Conversation

from repartee.bench.latency import CLAUSE_REPLIES
from repartee.bench.rig import REPLIES
from repartee.bench.techniques import WITHOUT, Technique
from repartee.standins.language_model import tokens_of
from repartee.standins.profiles import load_profile
from repartee.standins.script import load_script
from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.chunking import Chunker, ChunkPolicy
from repartee.turn.policy import TurnPolicy

UNBROKEN = (
    "The parcel you sent on Monday went through the sorting hall near Bristol yesterday evening and should "
    "reach the house of your sister tomorrow before noon."
)
"""A sentence with no boundary before its end."""

WITHOUT_FIRST_CHUNK = TurnPolicy(
    chunks=ChunkPolicy(first_clause_chars=int(WITHOUT[Technique.first_chunk]["REPARTEE_FIRST_CLAUSE_CHARS"]))
)


class Listening(Conversation):
    """A conversation that notes when each piece went to the voice, in ms after the model's first token."""

    def __init__(self, policy: TurnPolicy | None = None) -> None:
        super().__init__(policy)
        self.began = 0.0
        self.pieces: list[tuple[float, str]] = []

    def send(self, event: e.Event) -> list[c.Command]:
        commands = super().send(event)
        for command in commands:
            if isinstance(command, c.Say) and command.text:
                self.pieces.append((round((self.now - self.began) * 1000, 1), command.text))
        return commands

    def model_writes_at(self, tokens_per_s: float, text: str) -> None:
        """The model writes token by token; the first comes now, and after the last as much time passes as between."""
        for token in tokens_of(text):
            self.model_writes(token)
            self.wait(1 / tokens_per_s)

    @property
    def first(self) -> tuple[float, str]:
        return self.pieces[0]

    @property
    def gaps_ms(self) -> list[float]:
        """How long a voice of 15 characters a second is silent before each later piece."""
        gaps, silent_at = [], self.pieces[0][0]
        for (_, piece), (later_ms, _) in pairwise(self.pieces):
            silent_at += len(piece.strip()) / 15 * 1000
            gaps.append(max(later_ms - silent_at, 0.0))
            silent_at = max(silent_at, later_ms)
        return gaps


def asked(policy: TurnPolicy | None = None) -> Listening:
    """The caller has asked; the model's first token comes now."""
    talk = Listening(replace(policy or TurnPolicy(), first_audio_s=1e6))
    talk.caller_says("Where is my parcel?")
    talk.wait(0.14)
    talk.began = talk.now
    return talk


def answered(text: str, tokens_per_s: float, policy: TurnPolicy | None = None) -> Listening:
    talk = asked(policy)
    talk.model_writes_at(tokens_per_s, text)
    talk.model_ends()
    assert "".join(piece for _, piece in talk.pieces) == text
    return talk


class TestFirstPiece:
    @pytest.mark.parametrize(
        ("tokens_per_s", "at_ms", "piece"),
        [
            (200, 65, "The parcel you sent on Monday went through the sorting hall near Bristol"),
            (100, 130, "The parcel you sent on Monday went through the sorting hall near Bristol"),
            (60, 140, "The parcel you sent on Monday went through"),
            (30, 140, "The parcel you sent"),
            (15, 200, "The parcel you"),
            (10, 300, "The parcel you"),
        ],
    )
    def test_without_a_boundary_it_is_what_there_is_in_time(
        self, tokens_per_s: float, at_ms: float, piece: str
    ) -> None:
        assert answered(UNBROKEN, tokens_per_s).first == (at_ms, piece)

    @pytest.mark.parametrize("tokens_per_s", [60, 100, 200])
    def test_a_boundary_within_that_time_is_waited_for(self, tokens_per_s: float) -> None:
        talk = answered("Your parcel is on its way, and it should be there tomorrow.", tokens_per_s)
        assert talk.first == (round(6 / tokens_per_s * 1000, 1), "Your parcel is on its way,")

    def test_a_clause_is_spoken_as_it_ends_however_slow_the_model(self) -> None:
        assert answered("Of course, let me see what I can do.", 10).first == (200, "Of course,")

    @pytest.mark.parametrize(
        ("text", "piece"),
        [
            ("You will find it at the very end of the long and winding road.", "You will find it"),
            (
                "That parcel is one of the heaviest that we have had here.",
                "That parcel is one",
            ),
            (
                "It was signed by Dr. Smith at noon on the eleventh of this month.",
                "It was signed",
            ),
            ("Here it is in [our own list](https://example.com) of parcels.", "Here it is in our own list"),
            ("We had Dr. Smith and the others here on the eleventh.", "We had Dr. Smith"),
            ("It is in the house of your sister.", "It is in the house"),
        ],
    )
    def test_it_does_not_end_where_it_sounds_clipped(self, text: str, piece: str) -> None:
        """At 30 words a second; if there is no other place, a word or two more are waited for."""
        talk = asked()
        for token in text.split(" "):
            talk.model_writes(token if token == text.split(" ")[0] else f" {token}")
            talk.wait(1 / 30)
        assert talk.first[1] == piece

    def test_a_word_that_may_go_on_is_not_parted(self) -> None:
        talk = asked()
        for token in ["Your", " elec", "tri"]:
            talk.model_writes(token)
        talk.wait(5)
        assert talk.pieces == []
        talk.model_writes("city bill")
        talk.wait(1)
        assert talk.pieces == [(5000, "Your electricity")]

    def test_one_of_a_model_hardly_faster_than_speech_is_longer(self) -> None:
        """So that its speech covers the time until the next is there."""
        assert answered(UNBROKEN, 10).first[1] == "The parcel you"
        assert answered(UNBROKEN, 4).first == (1000, "The parcel you sent")

    def test_its_least_length_is_no_less_than_that_of_a_clause(self) -> None:
        policy = TurnPolicy(chunks=ChunkPolicy(first_clause_chars=30))
        assert answered(UNBROKEN, 30, policy).first == (233.3, "The parcel you sent on Monday went")

    def test_before_the_turn_is_confirmed_it_is_made_as_soon(self) -> None:
        talk = Listening()
        talk.caller_starts("Where")
        talk.wait(1)
        talk.caller_pauses("Where is my parcel?")
        talk.began = talk.now
        talk.model_writes_at(30, UNBROKEN)
        assert talk.pieces == [(140, "The parcel you sent")]


class TestStalledModel:
    def test_the_words_there_are_are_spoken(self) -> None:
        talk = asked()
        talk.model_writes("Let me see what")
        talk.wait(10)
        assert talk.first == (400, "Let me see")

    def test_they_are_spoken_sooner_if_they_sound_well(self) -> None:
        talk = asked()
        talk.model_writes("Let me see now what")
        talk.wait(10)
        assert talk.first == (140, "Let me see now")

    def test_a_word_or_two_are_not(self) -> None:
        talk = asked()
        talk.model_writes("I have it")
        talk.wait(5)
        assert talk.pieces == []
        talk.model_ends()
        assert talk.pieces == [(5000, "I have it")]

    def test_a_piece_that_sounds_clipped_is_better_than_none(self) -> None:
        """But only when it is certain that the model is late."""
        talk = asked()
        talk.model_writes("It is in the house")
        talk.wait(5)
        assert talk.pieces == [(400, "It is in the")]

    def test_what_follows_is_neither_lost_nor_said_twice(self) -> None:
        talk = asked()
        talk.model_writes("It is in the house")
        talk.wait(5)
        talk.model_writes(" of your sister. And that")
        talk.model_writes(" is all.")
        assert [piece for _, piece in talk.pieces] == [
            "It is in the",
            " house of your sister.",
            " And that is all.",
        ]

    def test_one_that_fails_leaves_no_deadline(self) -> None:
        talk = asked()
        talk.model_writes("It is in the house")
        talk.send(e.ReplyFailed(talk.reply, "llm", "gone"))
        assert "chunk" not in talk.deadlines

    @pytest.mark.parametrize("speculative", [True, False])
    def test_nor_does_one_that_is_interrupted(self, speculative: bool) -> None:
        talk = Listening()
        talk.caller_starts("Where")
        talk.caller_pauses("Where is my parcel?")
        if not speculative:
            talk.caller_ends("Where is my parcel?")
        talk.model_writes("It is in the house")
        assert "chunk" in talk.deadlines
        if speculative:
            talk.caller_resumes()
        else:
            talk.caller_starts("Wait")
        assert "chunk" not in talk.deadlines
        talk.wait(1)
        assert talk.pieces == []


class TestLaterPieces:
    @pytest.mark.parametrize("tokens_per_s", [5, 7, 10, 15, 30, 60, 100, 200])
    def test_each_is_there_before_the_one_before_has_been_spoken(self, tokens_per_s: float) -> None:
        talk = answered(UNBROKEN, tokens_per_s)
        assert talk.gaps_ms == [pytest.approx(0, abs=1)] * (len(talk.pieces) - 1)
        assert len(talk.pieces) > 1

    def test_one_that_comes_in_time_ends_where_its_clause_does(self) -> None:
        text = "Of course, I can. The parcel you sent on Monday is on its way, and will be there at noon."
        assert [piece for _, piece in answered(text, 60).pieces] == [
            "Of course,",
            " I can.",
            " The parcel you sent on Monday is on its way,",
            " and will be there at noon.",
        ]

    def test_one_that_would_not_ends_at_its_last_comma_rather(self) -> None:
        talk = answered("All is well here. The parcel, I think, came to the depot early this morning.", 5)
        assert [piece for _, piece in talk.pieces][:2] == ["All is well here.", " The parcel, I think,"]

    def test_the_voice_is_not_pressed_while_nothing_is_heard(self) -> None:
        """Before the turn is confirmed the second piece has time; from then on its time runs."""
        talk = Listening()
        talk.caller_starts("Where")
        talk.caller_pauses("Where is my parcel?")
        talk.model_writes("All is well. The parcel came to the depot early")
        talk.wait(3)
        assert talk.pieces == [(0, "All is well.")]
        talk.caller_ends("Where is my parcel?")
        assert len(talk.pieces) == 1
        talk.wait(1)
        assert talk.pieces[1:] == [(3800, " The parcel came to the depot")]

    def test_after_a_pause_for_a_tool_call_the_rest_has_been_said(self) -> None:
        talk = asked()
        talk.model_writes("Let me look it up")
        talk.model_calls("call_1")
        assert talk.pieces == [(0, "Let me look it up")]
        assert "chunk" not in talk.deadlines


class TestOtherScripts:
    JAPANESE = (
        "お客様のお荷物は昨日の夕方にブリストルの仕分けセンターを通過して本日中にお届けする予定でございます。"
    )

    def test_one_without_spaces_waits_for_its_marks(self) -> None:
        """Between two letters may be the middle of a word."""
        talk = asked()
        for letter in "はい、もちろんです、すぐに調べますので少々お待ちください。":
            talk.model_writes(letter)
            talk.wait(1 / 30)
        assert talk.first[1] == "はい、もちろんです、"

    def test_but_not_for_ever(self) -> None:
        talk = asked()
        for letter in self.JAPANESE:
            talk.model_writes(letter)
            talk.wait(1 / 30)
        at_ms, piece = talk.first
        assert len(piece) == 27
        assert at_ms < 1000

    def test_a_stall_is_spoken_through(self) -> None:
        talk = asked()
        talk.model_writes("お荷物は昨日の夕方")
        talk.wait(5)
        assert talk.pieces == [(400, "お荷物は昨日の夕")]

    def test_other_languages_with_spaces(self) -> None:
        talk = answered("Ihr Paket ist gestern Abend in der Zentrale angekommen und geht morgen weiter.", 15)
        assert talk.first == (200, "Ihr Paket ist")


class TestBenchmark:
    """The profile that figures are measured with: its first pieces are first clauses, at the token that ends them."""

    @pytest.mark.parametrize("text", [*REPLIES, *CLAUSE_REPLIES, *(line.reply for line in load_script())])
    def test_time_cuts_nothing(self, text: str) -> None:
        tokens_per_s = load_profile("budget").llm.tokens_per_s
        assert tokens_per_s is not None
        rate = tokens_per_s.middle
        chunker = Chunker(ChunkPolicy())
        ended = next(n for n, token in enumerate(tokens_of(text)) if chunker.feed(token))
        assert ended <= 5, "six tokens at most, as the floor counts them"
        at_ms, piece = answered(text, rate).first
        assert at_ms == pytest.approx(ended / rate * 1000, abs=0.1)
        assert piece[-1] in ",.", piece

    @pytest.mark.parametrize("tokens_per_s", [5, 10, 60, 200])
    @pytest.mark.parametrize("text", [*CLAUSE_REPLIES, UNBROKEN])
    def test_switched_off_the_first_piece_is_like_any_other(self, text: str, tokens_per_s: float) -> None:
        chunker = Chunker(WITHOUT_FIRST_CHUNK.chunks)
        pieces = [piece for token in tokens_of(text) for piece in chunker.feed(token)]
        talk = answered(text, tokens_per_s, WITHOUT_FIRST_CHUNK)
        assert [piece for _, piece in talk.pieces] == [
            *pieces,
            *([rest] if (rest := chunker.finish()) else []),
        ]
        assert text in CLAUSE_REPLIES or len(talk.first[1]) > 40


tokens = st.one_of(
    st.text(st.sampled_from("aeno .,:;?-“'[]()1今、。\n"), min_size=1, max_size=12),
    st.sampled_from([" the", " of", " parcel", " Dr.", " house", ",", ".", " extraordinarily", " 5", "00"]),
)
gaps_s = st.one_of(st.floats(0, 0.3), st.sampled_from([0.0, 0.14, 0.4, 3.0]))


@given(st.lists(st.tuples(tokens, gaps_s), max_size=60), st.booleans(), st.integers(0, 60))
def test_no_text_is_lost_or_reordered_whenever_it_comes(
    written: list[tuple[str, float]], tells_eagerly: bool, confirmed_after: int
) -> None:
    """And nothing is given out but whole pieces with words in them, as written at most as long as a piece may be."""
    talk = Listening(TurnPolicy(first_audio_s=1e6, raw=True))
    talk.caller_starts("Where")
    if tells_eagerly:
        talk.caller_pauses("Where is it?")
    else:
        talk.caller_ends("Where is it?")
    for n, (text, gap_s) in enumerate(written):
        if tells_eagerly and n == confirmed_after:
            talk.caller_ends("Where is it?")
        talk.model_writes(text)
        talk.wait(gap_s)
    if tells_eagerly and len(written) <= confirmed_after:
        talk.caller_ends("Where is it?")
    talk.model_ends()
    said = "".join(command.text for command in talk.all(c.ReplyWords) if command.reply_id == 1)
    assert said == "".join(text for text, _ in written)[: len(said)]
    rest = "".join(text for text, _ in written)[len(said) :]
    assert not any(letter.isalnum() for letter in rest)
    assert all(len(piece) <= 80 for _, piece in talk.pieces)
