"""What was said, as the caller experienced it."""

from repartee.agent.said import Said
from repartee.agent.transcript import MOST_CHARS, MOST_PIECE_CHARS, MOST_SAID, CallTranscript
from repartee.turn import commands as c
from repartee.turn.history import FunctionOutput, Message


class Ticking:
    """A clock, and what was noted."""

    def __init__(self) -> None:
        self.now = 100.0
        self.noted: list[Said] = []
        self.transcript = CallTranscript(self.noted.append, lambda: self.now)

    def take(self, *commands: c.Command) -> None:
        for command in commands:
            self.now += 1
            self.transcript.take(command)

    def told(self) -> list[tuple[str, str, bool]]:
        return [(said.who, said.text, said.interrupted) for said in self.transcript.said]


def answer(item_id: str, text: str, heard_ms: float | None = None) -> Message:
    message = Message(item_id, "assistant", text, spoken=True, heard_ms=heard_ms)
    message.audio_ms, message.audio_complete = len(text) * 60.0, True
    return message


def test_both_sides_are_there_in_order_with_their_turns_and_times() -> None:
    one = Ticking()
    one.take(
        c.ReplyEnded(1, 0, "completed", answer("greeting", "Good day.")),
        c.TurnEnded(1, "q", Message("q", "user", "What is my balance?", spoken=True)),
        c.TurnEnded(2, "cough", None),
        c.ItemAdded(FunctionOutput("o", "c1", "{}"), None),
        c.ReplyEnded(2, 1, "completed", answer("a", "It is 40.")),
        c.ItemAdded(Message("typed", "user", "Thank you"), None),
    )
    assert one.transcript.said == (
        Said("greeting", 0, "agent", "Good day.", 101.0),
        Said("q", 1, "caller", "What is my balance?", 102.0),
        Said("a", 1, "agent", "It is 40.", 105.0),
        Said("typed", 0, "caller", "Thank you", 106.0),
    )
    assert tuple(one.noted) == one.transcript.said


def test_an_answer_that_is_cut_counts_as_far_as_it_was_heard() -> None:
    one = Ticking()
    one.take(c.ReplyEnded(1, 1, "completed", answer("a", "It is forty, and the rent is due.")))
    one.take(c.AnswerCut("a", 700.0, "It is forty,"))
    assert one.told() == [("agent", "It is forty,", True)]
    assert one.noted[-1].at_s == one.noted[0].at_s == 101.0, "it was said when it was said"


def test_an_answer_that_nobody_heard_is_not_there() -> None:
    one = Ticking()
    one.take(
        c.AnswerCut("a", 0.0, ""), c.ReplyEnded(1, 1, "failed", answer("a", "It is forty.", heard_ms=0.0))
    )
    assert one.told() == []


def test_of_a_provider_that_tells_no_times_the_heard_part_is_reckoned() -> None:
    one = Ticking()
    one.transcript.says("a", 1, "agent", "one two three four five six")
    one.transcript.cut(1, 500.0)
    one.transcript.cut(2, 900.0)
    one.transcript.says("b", 2, "agent", "seven eight nine ten")
    one.transcript.says("q", 2, "caller", "seven eight nine ten")
    assert one.told()[0] == ("agent", "one two", True)
    assert one.told()[1][2] is True
    assert one.told()[2] == ("caller", "seven eight nine ten", False)


def test_what_is_said_again_word_for_word_is_noted_once() -> None:
    one = Ticking()
    for _ in range(3):
        one.transcript.says("q", 1, "caller", "Hello?")
    assert len(one.noted) == 1


def test_a_call_without_an_end_keeps_no_more_than_so_much() -> None:
    one = Ticking()
    for number in range(MOST_SAID + 10):
        one.transcript.says(f"q{number}", number, "caller", "Hello?")
    assert len(one.transcript.said) == MOST_SAID
    assert one.transcript.said[0].item_id == "q10"


def test_long_pieces_are_cut_and_all_of_them_together_are_bounded() -> None:
    one = Ticking()
    for number in range(100):
        one.transcript.says(f"q{number}", number, "caller", "a" * 1_000_000)
    kept = one.transcript.said
    assert {len(said.text) for said in kept} == {MOST_PIECE_CHARS}
    assert (
        sum(len(said.text) for said in kept) <= MOST_CHARS < sum(len(s.text) for s in kept) + MOST_PIECE_CHARS
    )
    assert kept[-1].item_id == "q99"
