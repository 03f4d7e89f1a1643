"""What a model is shown of a conversation."""

import time
from typing import Any

import pytest

from repartee.turn.context_window import BEGINNING, LEFT_OUT, ContextWindow

SYSTEM = {"role": "system", "content": "Be kind."}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def called(call_id: str, result: str) -> list[dict[str, Any]]:
    function = {"name": "look_up", "arguments": "{}"}
    call = {"id": call_id, "type": "function", "function": function}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call_id, "content": result},
    ]


LONG = [
    SYSTEM,
    *(
        message
        for n in range(20)
        for message in (user(f"{n} " * 100), *called(f"c{n}", "r" * 400), assistant("a" * 200))
    ),
]


class TestFit:
    @pytest.mark.parametrize("tokens", [1000, 2000, 4000])
    def test_no_request_is_over_it(self, tokens: int) -> None:
        shown = ContextWindow(tokens).fit(LONG)
        assert sum(len(str(message.get("content") or "")) for message in shown) / 4 <= tokens
        assert shown[0] == SYSTEM
        assert shown[-8:] == LONG[-8:], "the last two turns are whole"

    def test_tools_results_go_first(self) -> None:
        shown = ContextWindow(4_000).fit(LONG)
        assert len(shown) == len(LONG)
        assert shown[3]["content"] == LEFT_OUT

    def test_then_the_oldest_turns(self) -> None:
        shown = ContextWindow(1000).fit(LONG)
        assert shown[1]["role"] == "user"
        assert not str(shown[1]["content"]).startswith("0 ")

    def test_instructions_and_the_last_turns_never_go(self) -> None:
        assert ContextWindow(1).fit(LONG) == [SYSTEM, *LONG[-8:]]

    def test_what_fits_is_shown_as_it_is(self) -> None:
        assert ContextWindow().fit(LONG) == LONG


class TestTime:
    """A client decides how long a conversation is, and what is in it: nobody else waits for that."""

    @pytest.mark.parametrize("text", ["x" * 1000, "字" * 330, "é" * 500, "x"])
    @pytest.mark.parametrize("roles", ["user assistant", "assistant", "user", "system user"])
    @pytest.mark.parametrize("refusal", [None, "context length exceeded", "roles must alternate"])
    def test_it_is_in_proportion(self, text: str, roles: str, refusal: str | None) -> None:
        def seconds(number: int) -> float:
            each = roles.split()
            messages = [{"role": each[n % len(each)], "content": text} for n in range(number)]
            began = time.process_time()
            window = ContextWindow(1_000)
            if refusal is None:
                window.fit(messages)
            else:
                window.mended(messages, refusal)
            return time.process_time() - began

        # In proportion it would be tenfold, for what is quadratic a hundredfold.
        assert min(seconds(2_000) for _ in range(3)) < 30 * min(seconds(200) for _ in range(3)) + 0.02


class TestMended:
    def test_roles_alternate_and_the_caller_begins(self) -> None:
        window = ContextWindow()
        asked = [SYSTEM, assistant("Hello!"), user("Hi."), user("Are you there?")]
        refusal = "Conversation roles must alternate user/assistant/user/assistant/..."
        joined = [SYSTEM, user(BEGINNING), assistant("Hello!"), user("Hi.\nAre you there?")]
        assert window.mended(asked, refusal) == joined
        assert window.fit(asked) == joined, "from now on at once"

    def test_instructions_join_the_first_words_where_there_is_no_system_role(self) -> None:
        mended = ContextWindow().mended([SYSTEM, user("Hi.")], "System role not supported")
        assert mended == [user("Be kind.\n\nHi.")]

    def test_a_context_that_is_too_long_is_shortened_for_good(self) -> None:
        window = ContextWindow()
        mended = window.mended(LONG, "This model's maximum context length is 4000 tokens.")
        assert mended is not None
        assert len(str(mended)) < len(str(LONG)) * 0.75
        assert window.fit(LONG) == mended

    def test_the_offending_message_is_blanked(self) -> None:
        asked = [SYSTEM, user("bad"), assistant("Yes?"), user("good")]
        mended = ContextWindow().mended(asked, "Invalid 'messages[1].content': string expected")
        assert mended == [SYSTEM, user(LEFT_OUT), assistant("Yes?"), user("good")]

    def test_an_offending_call_goes_with_its_result(self) -> None:
        asked = [SYSTEM, user("a"), *called("c1", "r"), assistant("b"), user("c")]
        refusal = "Invalid value at messages[2].tool_calls[0].function.arguments"
        assert ContextWindow().mended(asked, refusal) == [SYSTEM, user("a"), assistant("b"), user("c")]

    @pytest.mark.parametrize(
        "refusal",
        [
            "Unsupported parameter: 'max_tokens' is not supported with this model.",
            "Unsupported value: 'temperature' does not support 0.2 with this model.",
            "Unrecognized request argument supplied: foo",
        ],
    )
    def test_a_wrong_parameter_is_no_fault_of_the_history(self, refusal: str) -> None:
        assert ContextWindow().mended([SYSTEM, assistant("Hi."), user("a")], refusal) is None

    def test_a_refusal_that_says_nothing_may_be_of_it(self) -> None:
        assert ContextWindow().mended([SYSTEM, assistant("Hi."), user("a")], "Bad Request") is not None
