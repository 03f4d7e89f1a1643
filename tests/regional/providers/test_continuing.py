"""What of an answer that another model goes on with is new."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repartee.providers.continuing import GO_ON, Continuation, continued

SAID = "We are open from nine to six, Monday to"
REST = " Friday. On Saturdays we close at one."


def whole(said: str, *pieces: str) -> str:
    """The answer as the caller has it."""
    continuation = Continuation(said)
    return said + "".join(map(continuation.feed, pieces)) + continuation.finish()


@pytest.mark.parametrize(
    "pieces",
    [
        [REST],
        [" Friday", ".", " On Saturdays we close at one."],
        ["Friday. On Saturdays we close at one."],
        [SAID + REST],
        ["We are open", " from nine", " to six,", " Monday to Friday. On Saturdays we close at one."],
        ["Monday to Friday.", " On Saturdays we close at one."],
        ["to Friday. On Saturdays we close at one."],
        list(SAID + REST),
        list(REST),
    ],
    ids=[
        "goes-on",
        "in-pieces",
        "without-a-space",
        "anew",
        "anew-in-pieces",
        "two-words",
        "one",
        "letters",
        "rest",
    ],
)
def test_nothing_is_said_twice_and_nothing_left_out(pieces: list[str]) -> None:
    assert whole(SAID, *pieces) == SAID + REST


@pytest.mark.parametrize("goes_on", ["k a table.", "book a table."])
def test_a_word_that_was_cut_is_made_whole(goes_on: str) -> None:
    said = "I can boo"
    assert whole(said, *goes_on.partition(" ")) in ("I can book a table.", "I can boo k a table.")


@pytest.mark.parametrize(
    ("said", "goes_on", "expected"),
    [
        ("Good morning.", "Good morning. How are you?", "Good morning. How are you?"),
        ("Good morning. ", "How are you?", "Good morning. How are you?"),
        ("Good morning. ", " How are you?", "Good morning.  How are you?"),
        ("It takes a", "an hour.", "It takes a an hour."),
        ("…", "Yes.", "…Yes."),
        ("One. Two. Three.", "One. Two.", "One. Two. Three."),
        ("Thank you", "you too.", "Thank you too."),
        ("Thank you", ".", "Thank you."),
        ("Thank you", "", "Thank you"),
    ],
)
def test_what_models_do(said: str, goes_on: str, expected: str) -> None:
    assert whole(said, goes_on).replace("  ", " ") == expected.replace("  ", " ")


def test_what_does_not_repeat_is_not_held_back() -> None:
    continuation = Continuation(SAID)
    assert continuation.feed(" Friday") == ""  # the word may go on
    assert continuation.feed(".") == " Friday."
    assert continuation.feed(" On") == " On"


@given(st.lists(st.sampled_from(["a", "no", "yes", "table", "for"]), min_size=2), st.data())
def test_an_answer_begun_anew_is_passed_on_from_where_it_was_cut(
    words: list[str], data: st.DataObject
) -> None:
    """Its words differ, so that where it was cut is one place."""
    text = " ".join(f"{word}{chr(97 + place)}" for place, word in enumerate(words)) + "."
    cut = data.draw(st.integers(text.index(" ") + 2, len(text)))
    assert whole(text[:cut], text) == text


def test_the_next_model_sees_what_was_said_and_roles_that_alternate() -> None:
    asked = continued([{"role": "user", "content": "When are you open?"}], SAID)
    assert [message["role"] for message in asked] == ["user", "assistant", "user"]
    assert [message["content"] for message in asked[1:]] == [SAID, GO_ON]
