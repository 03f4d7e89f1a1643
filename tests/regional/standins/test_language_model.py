"""The dialogue model: what it understands, which tools it calls, and what it makes of their answers."""

import json
import re
from typing import Any

import pytest

from repartee.standins.domain import SUGGESTED_QUESTIONS
from repartee.standins.errands import ToolRequest
from repartee.standins.language_model import answer, intent_of, tokens_of
from repartee.standins.phrases import LONG_STORY
from repartee.standins.script import ScriptError, load_script, parse_script
from repartee.standins.synthesiser import synthesise
from repartee.standins.times import times_in


def tool(name: str, description: str = "", /, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }


TEXT = {"type": "string"}
BANK = [
    tool("lookup_customer", name=TEXT),
    tool("get_balance", customer_id=TEXT),
    tool("get_recent_transactions", customer_id=TEXT),
]
CLINIC = [tool("check_availability", date=TEXT), tool("schedule_appointment", date=TEXT, time=TEXT)]


class Talk:
    """A conversation in OpenAI's chat form."""

    def __init__(self, *tools: dict[str, Any]) -> None:
        self.messages: list[dict[str, Any]] = [{"role": "system", "content": "Be brief."}]
        self.tools = list(tools)

    def ask(self, text: str) -> str:
        self.messages.append({"role": "user", "content": text})
        return self._next()

    def result(self, call: ToolRequest, result: object) -> str:
        calls = [
            {"id": "1", "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        ]
        self.messages.append({"role": "assistant", "content": None, "tool_calls": calls})
        self.messages.append({"role": "tool", "tool_call_id": "1", "content": json.dumps(result)})
        return self._next()

    def _next(self) -> str:
        self.reply = answer(self.messages, self.tools)
        if self.reply.text:
            self.messages.append({"role": "assistant", "content": self.reply.text})
        return self.reply.text

    @property
    def call(self) -> ToolRequest:
        (call,) = self.reply.tool_calls
        return call


@pytest.mark.parametrize(
    ("said", "intent"),
    [
        ("Hello, can you hear me?", "there"),
        ("what are your opening hours", "hours"),
        ("what your open hours", "hours"),
        ("where are you", "place"),
        ("what is the balance my account", "balance"),
        ("how much money do i have", "balance"),
        ("what were my last transaction is", "transactions"),
        ("can i come an appointment on Thursday", "appointment"),
        ("how about tuesday morning", "appointment"),
        ("half past three please", "booking"),
        ("how do you work", "story"),
        ("can you repeat that please", "repeat"),
        ("thank you that was all", "goodbye"),
        ("thank you", "thanks"),
        ("my name is Anna", "introduction"),
        ("what is my name", "my_name"),
        ("are you a robot", "robot"),
        ("what can you do", "abilities"),
        ("can you book a flight", "appointment"),
        ("order a pizza", None),
    ],
)
def test_intents_survive_mishearing(said: str, intent: str | None) -> None:
    assert intent_of(said) == intent


def test_every_suggested_question_is_understood() -> None:
    assert all(intent_of(question) is not None for question in SUGGESTED_QUESTIONS)


def test_it_remembers_the_name_and_the_questions() -> None:
    talk = Talk()
    assert talk.ask("Hello, my name is Anna.") == "Nice to meet you, Anna. What can I do for you?"
    hours = talk.ask("What are your opening hours?")
    assert "What are your opening hours" in talk.ask("What did I ask before?")
    assert "Anna" in talk.ask("What is my name?")
    talk.ask("What are your opening hours?")
    assert hours in talk.ask("Can you repeat that?")


def test_it_says_plainly_what_it_cannot_do() -> None:
    assert Talk().ask("Can you order a pizza?").startswith("I cannot help with that.")
    assert Talk().ask("What is my balance?").startswith("I cannot see accounts here.")


def test_balance_looks_the_customer_up_first_and_uses_what_it_found() -> None:
    talk = Talk(*BANK)
    talk.ask("My name is Anna.")
    talk.result(talk.call, {"error": "not found"})
    talk.ask("What is the balance of my account?")
    assert talk.call.name == "lookup_customer"
    assert json.loads(talk.call.arguments) == {"name": "Anna"}
    talk.result(talk.call, {"customer_id": "C-7", "name": "Anna Berg"})
    assert (talk.call.name, json.loads(talk.call.arguments)) == ("get_balance", {"customer_id": "C-7"})
    spoken = talk.result(talk.call, {"balance": 1240.5, "currency": "USD"})
    assert "1240 dollars and 50 cents" in spoken
    talk.ask("And what were my last transactions?")
    assert (talk.call.name, json.loads(talk.call.arguments)) == (
        "get_recent_transactions",
        {"customer_id": "C-7"},
    )
    spoken = talk.result(talk.call, {"transactions": [{"merchant": "the grocer", "amount": -54}]})
    assert "54 dollars at the grocer" in spoken


def test_an_appointment_is_checked_and_booked() -> None:
    talk = Talk(*CLINIC)
    talk.ask("Can I have an appointment on Thursday?")
    assert (talk.call.name, json.loads(talk.call.arguments)) == ("check_availability", {"date": "thursday"})
    assert "two o'clock or half past three" in talk.result(
        talk.call, {"slots": ["two o'clock", "half past three"]}
    )
    talk.ask("Half past three, please.")
    assert talk.call.name == "schedule_appointment"
    assert json.loads(talk.call.arguments) == {"date": "thursday", "time": "half past three"}
    assert "half past three" in talk.result(talk.call, {"confirmed": True, "time": "half past three"})


def test_an_unknown_tool_is_called_by_its_words_and_its_answer_spoken() -> None:
    weather = tool(
        "get_weather", "Weather in a city", city=TEXT, days={"type": "integer"}, unit={"enum": ["c", "f"]}
    )
    talk = Talk(weather)
    talk.ask("What is the weather like in Paris?")
    assert (talk.call.name, json.loads(talk.call.arguments)) == (
        "get_weather",
        {"city": "paris", "days": 1, "unit": "c"},
    )
    assert "sky is clear" in talk.result(talk.call, {"sky": "clear", "degrees": 21})


def test_tool_choice_is_obeyed() -> None:
    messages = [{"role": "user", "content": "Hello"}]
    forced = {"type": "function", "function": {"name": "check_availability"}}
    assert answer(messages, CLINIC, forced).tool_calls[0].name == "check_availability"
    assert answer(messages, CLINIC, "required").tool_calls
    assert answer([{"role": "user", "content": "appointment"}], CLINIC, "none").tool_calls == ()


FOR_THE_MODEL = (
    {"error": "the calendar is down"},
    {"error": "nine o'clock on monday is not free. Nothing was booked. See what else is free."},
    {"error": "The arguments are wrong: patient_name: Field required. Correct them and call again."},
    {"error": "list.remove(x): x not in list"},
    {"error": "Nobody is known under the number the caller is calling from."},
    {"error": "There is no tool 'book'. The tools are: none."},
    {"booked": False, "reason": "Ask the caller for a date of birth first."},
    {"status": "failed", "detail": "HTTP 503 from calendar.internal"},
    "Error: upstream timed out",
)


@pytest.mark.parametrize("result", FOR_THE_MODEL)
@pytest.mark.parametrize("question", ["What about tomorrow?", "Book Monday at nine o'clock."])
def test_a_failed_tool_is_owned_up_to_and_its_error_stays_with_the_model(question: str, result: Any) -> None:
    talk = Talk(tool("schedule_appointment", time=TEXT), tool("check_availability", date=TEXT))
    talk.ask(question)
    spoken = talk.result(talk.call, result)
    while not spoken:
        spoken = talk.result(talk.call, result)
    assert spoken.startswith("I am sorry")
    secret = [word for word in re.findall(r"[a-z_]{4,}", json.dumps(result).lower()) if word not in PLAIN]
    assert [word for word in secret if word in spoken.lower()] == []


PLAIN = ("again", "free", "that", "found", "error", "what", "else")


def test_what_only_a_model_needs_is_left_out_of_an_answer() -> None:
    weather = tool("get_weather", "Weather in a city", city=TEXT)
    talk = Talk(weather)
    talk.ask("What is the weather like in Paris?")
    spoken = talk.result(
        talk.call, {"sky": "clear", "station_id": "P-77", "note": "Do not promise anything."}
    )
    assert "clear" in spoken
    assert "P-77" not in spoken and "promise" not in spoken


@pytest.mark.parametrize(
    ("free", "said", "passed"),
    [
        (["9:00", "11:30"], "Book Monday at nine o'clock.", "9:00"),
        (["09:00", "11:30"], "Can you book me in on Monday at nine?", "09:00"),
        (["9 AM", "11:30 AM"], "Half past eleven on Monday, please.", "11:30 AM"),
        (["nine o'clock", "half past two"], "I will take Monday at two thirty.", "half past two"),
        (["09:00", "14:00"], "Book Monday at 2 pm.", "14:00"),
        (["9:00", "11:30"], "The second one on Monday, please.", "11:30"),
    ],
)
@pytest.mark.parametrize("shape", ["by day", "list", "entries"])
def test_a_time_is_looked_up_and_passed_as_the_calendar_writes_it(
    free: list[str], said: str, passed: str, shape: str
) -> None:
    results: dict[str, Any] = {
        "by day": {"tuesday": ["16:00"], "monday": free},
        "list": {"day": "monday", "free": free},
        "entries": [{"day": "tuesday", "time": "16:00"}, *({"day": "monday", "time": time} for time in free)],
    }
    talk = Talk(tool("check_availability"), tool("schedule_appointment", day=TEXT, time=TEXT))
    talk.ask(said)
    assert talk.call.name == "check_availability", "it cannot know how the calendar writes times"
    talk.result(talk.call, results[shape])
    assert talk.call.name == "schedule_appointment"
    assert json.loads(talk.call.arguments) == {"day": "monday", "time": passed}
    assert passed in talk.result(talk.call, "It is done.")
    talk.ask("And Monday at half past eleven.")
    assert talk.call.name in ("schedule_appointment", "check_availability")


def test_a_time_that_is_not_free_is_not_booked() -> None:
    talk = Talk(*CLINIC)
    talk.ask("Book Monday at ten o'clock.")
    spoken = talk.result(talk.call, {"monday": ["9:00", "11:30"]})
    assert talk.reply.tool_calls == ()
    assert "9:00 or 11:30" in spoken


@pytest.mark.parametrize(
    ("spec", "passed"),
    [
        ({"type": "string"}, "9:00"),
        ({"type": "string", "description": "As HH:MM."}, "09:00"),
        ({"type": "string", "description": "The time, e.g. half past three."}, "nine o'clock"),
        ({"type": "string", "examples": ["3:30 PM"]}, "9:00 AM"),
        ({"type": "string", "enum": ["nine o'clock", "ten o'clock"]}, "nine o'clock"),
    ],
)
def test_a_time_follows_the_schema_where_no_result_shows_one(spec: dict[str, Any], passed: str) -> None:
    talk = Talk(tool("schedule_appointment", time=spec))
    talk.ask("Book Monday at nine o'clock.")
    assert json.loads(talk.call.arguments) == {"time": passed}


def test_a_call_that_failed_is_put_right_once() -> None:
    talk = Talk(tool("schedule_appointment", day=TEXT, time=TEXT))
    talk.ask("Book Monday at nine o'clock.")
    error = {"error": "Free on monday: nine o'clock, half past ten."}
    talk.result(talk.call, error)
    assert json.loads(talk.call.arguments) == {"day": "monday", "time": "nine o'clock"}
    assert talk.result(talk.call, error).startswith("I am sorry")


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("Book Monday at nine o'clock.", [540]),
        ("half past three", [210]),
        ("a quarter to ten", [585]),
        ("2:30 PM or 09:00", [870, 540]),
        ("nine in the evening", [1260]),
        ("at noon", [720]),
        ("twenty dollars and 50 cents", []),
    ],
)
def test_times_are_read_as_people_say_them(text: str, minutes: list[int]) -> None:
    assert [time.minutes for time in times_in(text)] == minutes


def test_replies_open_with_a_short_clause() -> None:
    for question in SUGGESTED_QUESTIONS:
        first = tokens_of(Talk().ask(question))
        assert min(i for i, token in enumerate(first) if token.strip() in (".", ",")) <= 7, question


def test_the_story_is_long_enough_to_interrupt() -> None:
    assert synthesise(LONG_STORY).duration_ms > 20_000


def test_tokens_join_to_the_text() -> None:
    text = "It's 3:30, isn't it? Yes — “fine”."
    assert "".join(tokens_of(text)) == text
    assert tokens_of("We open at eight.") == ["We", " open", " at", " eight", "."]


def test_a_script_names_all_its_faults() -> None:
    with pytest.raises(ScriptError) as caught:
        parse_script({"utterances": [{"say": "x"}, {"say": "a b", "reply": "c", "parts": ["a"]}, 3]}, "mine")
    for part in ("utterances[0].reply", "utterances[1].parts", "utterances[2]"):
        assert part in str(caught.value)
    assert len(load_script()) == 8
