"""The conversation as items and as a model is told it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repartee.errors import ClientProtocolError
from repartee.turn.events import SpokenWord
from repartee.turn.history import (
    STILL_RUNNING,
    FunctionCall,
    FunctionOutput,
    History,
    Message,
    heard_part,
)
from repartee.turn.item_list import HistoryLimits


def ids(history: History) -> list[str]:
    return [item.item_id for item in history]


class TestItems:
    def history(self) -> History:
        history = History()
        for name in ("a", "b"):
            history.add(Message(name, "user", name.upper()))
        return history

    @pytest.mark.parametrize(
        ("after", "order", "previous"), [(None, "abx", "b"), ("root", "xab", None), ("a", "axb", "a")]
    )
    def test_one_is_put_where_it_belongs(self, after: str | None, order: str, previous: str | None) -> None:
        history = self.history()
        assert history.add(Message("x", "user", "X"), after=after) == previous
        assert ids(history) == list(order)

    def test_an_unknown_place_is_refused(self) -> None:
        history = self.history()
        with pytest.raises(ClientProtocolError) as refused:
            history.add(Message("x", "user", "X"), after="nobody")
        assert (refused.value.code, refused.value.param) == ("item_not_found", "previous_item_id")
        assert ids(history) == ["a", "b"]

    def test_an_id_that_is_taken_is_refused(self) -> None:
        history = self.history()
        with pytest.raises(ClientProtocolError, match="the id 'a' exists already"):
            history.add(Message("a", "user", "X"))
        assert len(history) == 2

    def test_what_has_happened_is_always_added(self) -> None:
        history = self.history()
        assert history.append(Message("a", "assistant", "X")) == "b"
        assert len(history) == 3
        assert History().append(Message("a", "user", "A")) is None

    def test_one_can_be_read_and_removed(self) -> None:
        history = self.history()
        assert history.get("b") == Message("b", "user", "B")
        history.remove("b")
        assert ids(history) == ["a"]
        for lookup in (history.get, history.remove):
            with pytest.raises(ClientProtocolError, match="no item 'b'"):
                lookup("b")


class TestLimits:
    def history(self, **limits: int) -> History:
        return History(HistoryLimits(**limits))

    def test_the_oldest_turn_is_forgotten_as_a_whole(self) -> None:
        history = self.history(items=5)
        for number in (1, 2):
            history.append(Message(f"u{number}", "user", "?"))
            history.append(Message(f"a{number}", "assistant", "!"))
        history.append(Message("u3", "user", "?"))
        assert history.forgotten() == []
        history.append(Message("a3", "assistant", "!"))
        assert ids(history) == ["u2", "a2", "u3", "a3"]
        assert history.forgotten() == ["u1", "a1"]
        assert history.forgotten() == []

    def test_an_output_goes_with_its_call_wherever_it_stands(self) -> None:
        history = self.history(items=4)
        history.append(FunctionCall("f1", "c1", "look", "{}"))
        history.append(FunctionCall("f2", "c2", "look", "{}"))
        history.append(Message("u1", "user", "?"))
        history.append(FunctionOutput("o1", "c1", "1"))
        history.append(FunctionOutput("o2", "c2", "2"))
        assert ids(history) == ["u1"]
        assert not history.holds_call("c1")

    def test_texts_are_bounded_by_their_bytes(self) -> None:
        history = self.history(size=1000)
        history.append(Message("u1", "user", "\u4f60" * 300))
        history.append(Message("u2", "user", "x" * 101))
        assert ids(history) == ["u2"]

    def test_an_answer_that_has_grown_since_is_measured_again(self) -> None:
        history = self.history(size=1000)
        history.append(Message("u1", "user", "?"))
        answer = Message("a1", "assistant", "")
        history.append(answer)
        answer.text = "x" * 1000
        history.append(Message("u2", "user", "?"))
        assert ids(history) == ["u2"]

    def test_the_newest_item_stays_whatever_its_size(self) -> None:
        history = self.history(size=1000)
        history.append(Message("u1", "user", "x" * 5000))
        assert ids(history) == ["u1"]

    def test_400_items_of_a_megabyte_take_two(self) -> None:
        history = History()
        for number in range(400):
            history.add(Message(f"u{number}", "user", "x" * 1_000_000))
        assert ids(history) == ["u398", "u399"]
        assert len(history.forgotten()) == 398

    def test_an_endless_turn_is_forgotten_only_as_far_as_it_must_be(self) -> None:
        history = self.history(items=1000)
        for number in range(1001):
            history.append(Message(f"a{number}", "assistant", "!"))
        assert len(history) == 1001 - 64

    @given(st.lists(st.integers(0, 9), max_size=60), st.integers(1, 8))
    def test_items_are_found_and_in_order_whatever_happens(self, numbers: list[int], most: int) -> None:
        history, expected = self.history(items=most), list[str]()
        for number in numbers:
            name = str(number)
            if name in expected:
                history.remove(name)
                expected.remove(name)
                continue
            history.add(Message(name, "user", "?"), after=expected[0] if expected else None)
            expected.insert(1 if expected else 0, name)
            for forgotten in history.forgotten():
                expected.remove(forgotten)
            assert ids(history) == expected
            assert len(history) == len(expected) <= most
            assert [history.get(item).item_id for item in expected] == expected

    def test_an_item_costs_the_same_in_a_long_conversation(self) -> None:
        def seconds(length: int) -> float:
            history = self.history(items=100_000)
            for number in range(length):
                history.add(Message(f"a{number}", "user", "?"))
            began = time.process_time()
            for number in range(2000):
                history.add(Message(f"b{number}", "user", "?"))
                history.get(f"b{number}")
            return time.process_time() - began

        assert min(seconds(40_000) for _ in range(3)) < 5 * min(seconds(10) for _ in range(3))


class TestMessages:
    def test_calls_have_their_results_behind_them_wherever_those_came(self) -> None:
        history = History()
        history.append(Message("1", "system", "Be brief."))
        history.append(FunctionCall("2", "c1", "look_up", "{}"))
        history.append(FunctionCall("3", "c2", "count", "{}"))
        history.append(Message("4", "user", "Well?"))
        history.append(FunctionOutput("5", "c1", "ten"))
        history.append(FunctionOutput("6", "nobody", "lost"))
        assert history.holds_call("c1")
        assert not history.holds_call("nobody")
        messages = history.messages(Message("7", "user", "Hello?"))
        assert [message["role"] for message in messages] == [
            "system",
            "assistant",
            "tool",
            "assistant",
            "tool",
            "user",
            "user",
        ]
        assert messages[2] == {"role": "tool", "tool_call_id": "c1", "content": "ten"}
        assert messages[4]["content"] == STILL_RUNNING

    def test_what_was_never_heard_and_what_only_filled_time_is_left_out(self) -> None:
        history = History()
        history.append(Message("1", "assistant", "Hello.", spoken=True, audio_ms=500, heard_ms=0))
        history.append(Message("2", "assistant", " "))
        history.append(Message("3", "assistant", "One moment.", filler=True))
        assert history.messages() == []


class TestHeardPart:
    TEXT = "Yes — it's ten pounds, Sir."
    WORDS = (
        SpokenWord("Yes", 0, 200),
        SpokenWord("it's", 300, 500),
        SpokenWord("ten", 500, 800),
        SpokenWord("pounds,", 800, 1200),
        SpokenWord("Sir.", 1200, 1500),
    )

    @pytest.mark.parametrize(
        ("heard_ms", "heard"),
        [
            (0, ""),
            (199, "Yes"),
            (198, ""),
            (500, "Yes — it's"),
            (1200, "Yes — it's ten pounds,"),
            (1500, "Yes — it's ten pounds, Sir."),
        ],
    )
    def test_with_word_times(self, heard_ms: float, heard: str) -> None:
        assert heard_part(self.TEXT, self.WORDS, 2000, heard_ms) == heard

    def test_punctuation_goes_with_its_word(self) -> None:
        words = [SpokenWord("Really", 0, 500), SpokenWord("Yes", 700, 900)]
        assert heard_part("Really?! Yes.", words, 1000, 600) == "Really?!"

    def test_words_that_are_not_in_the_text_are_passed_over(self) -> None:
        words = [SpokenWord("five", 0, 300), SpokenWord("pounds", 300, 700)]
        assert heard_part("£5 pounds, Sir", words, 1000, 800) == "£5 pounds,"

    def test_all_of_the_audio_is_all_of_the_text(self) -> None:
        assert heard_part(self.TEXT, self.WORDS[:1], 2000, 1999.5) == self.TEXT

    @pytest.mark.parametrize(
        ("heard_ms", "heard"),
        [(0, ""), (100, ""), (450, "One two"), (500, "One two"), (999.5, "One two three")],
    )
    def test_without_word_times(self, heard_ms: float, heard: str) -> None:
        assert heard_part("One two three", [], 1000, heard_ms)[: len(heard) + 1].rstrip() in (
            heard,
            heard[:3],
        )
        assert "One two three".startswith(heard_part("One two three", [], 1000, heard_ms))

    def test_without_spaces_letters_are_words(self) -> None:
        assert heard_part("今日はいい天気ですね", [], 1000, 500) == "今日はいい"

    def test_without_audio_nothing_was_heard(self) -> None:
        assert heard_part("Hello.", [], 0, 0) == ""

    @given(st.text(max_size=40), st.floats(0, 3000), st.floats(0, 3000))
    def test_more_audio_is_never_less_text(self, text: str, one: float, other: float) -> None:
        less, more = sorted((one, other))
        first, second = heard_part(text, [], 2000, less), heard_part(text, [], 2000, more)
        assert text.startswith(first)
        assert second.startswith(first)
