"""What an author marks as secret: by a tool's signature, by hand, and as digits that are said."""

import json
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field
from tests.regional.agent.desk import Desk, running, settle

from repartee import Agent, CallContext, Secret
from repartee.agent.agent import worker_side
from repartee.agent.context import secrets_of
from repartee.agent.secret_values import Secrets
from repartee.agent.signature import read_signature
from repartee.agent.toolbox import Toolbox


def test_a_secret_parameter_is_known_by_its_type_wherever_the_mark_stands() -> None:
    async def pay(
        card: Secret[str], code: Secret[int] | None = None, note: Annotated[str, Field(max_length=9)] = ""
    ) -> None:
        """Pay."""

    signature, faults = read_signature(pay, "pay")
    assert signature is not None
    assert faults == []
    assert signature.secret == {"card", "code"}
    assert signature.schema["properties"]["card"] == {"type": "string"}, "the model sees an ordinary text"


class Bank:
    """A call to an agent whose tools take secrets."""

    def __init__(self) -> None:
        self.agent = agent = Agent("Hi.")
        self.given: list[Any] = []

        @agent.tool
        async def check_pin(pin: Secret[str], digits: Secret[int] = 0) -> dict[str, Any]:
            """Check it."""
            self.given.append((pin, digits))
            return {"right": pin == "4711", "pin": pin}

        @agent.tool(read_only=True)
        async def find(ctx: CallContext, name: str) -> dict[str, str]:
            """Find them."""
            return {"name": name, "account": ctx.secret("DE-99-1234")}

        @agent.tool
        async def close(account: Secret[str]) -> None:
            """Close it."""
            self.given.append(account)

        self.context = worker_side(agent).new_call("c1")
        self.secrets = secrets_of(self.context)
        self.toolbox = Toolbox(agent, self.context)


async def test_a_secret_argument_is_given_to_the_tool_and_written_down_nowhere() -> None:
    bank = Bank()
    output = await bank.toolbox.run(1, "a", "check_pin", '{"pin": "4711", "digits": 12}')
    assert bank.given == [("4711", 12)]
    assert json.loads(output) == {"right": True, "pin": "[secret 2]"}
    run = bank.toolbox.ran("a")
    assert run is not None
    assert json.loads(run.arguments) == {"digits": "[secret 1]", "pin": "[secret 2]"}
    call = {
        "id": "a",
        "type": "function",
        "function": {"name": "check_pin", "arguments": '{"pin":"4711","digits":12}'},
    }
    told = bank.secrets.hide_messages(
        [
            {"role": "user", "content": "It is 4 7-11, or 47115?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": '{"pin":"4711"}', "tool_call_id": "a"},
        ]
    )
    assert told[0]["content"] == "It is [secret 2], or 47115?"
    assert json.loads(told[1]["tool_calls"][0]["function"]["arguments"]) == {
        "digits": "[secret 1]",
        "pin": "[secret 2]",
    }
    assert told[2]["content"] == '{"pin":"[secret 2]"}'
    assert call["function"] == {"name": "check_pin", "arguments": '{"pin":"4711","digits":12}'}, "as it was"


async def test_arguments_that_do_not_fit_are_left_out_as_well() -> None:
    bank = Bank()
    for call_id, arguments in [
        ("a", '{"pin": "9876", "digits": "x"}'),
        ("b", '{"pin": "9876'),
        ("c", '["9876"]'),
    ]:
        await bank.toolbox.run(1, call_id, "check_pin", arguments)
        run = bank.toolbox.ran(call_id)
        assert run is not None
        assert "9876" not in run.arguments + run.output
    assert bank.given == []


async def test_a_value_goes_from_tool_to_tool_by_its_placeholder() -> None:
    bank = Bank()
    found = json.loads(await bank.toolbox.run(1, "a", "find", '{"name": "Anna"}'))
    assert found == {"name": "Anna", "account": "[secret 1]"}
    await bank.toolbox.run(1, "b", "close", json.dumps({"account": found["account"]}))
    assert bank.given == ["DE-99-1234"]
    assert bank.context.reveal("It is [secret 1].") == "It is DE-99-1234."
    assert bank.context.secret("DE-99-1234") == "[secret 1]"
    assert bank.context.secret("[secret 1]") == "[secret 1]"


async def test_a_run_on_a_guess_keeps_its_secrets_with_the_call() -> None:
    desk = Desk()
    toolbox = desk.toolbox()
    [guess] = toolbox.asked("lookup", "{}")
    task = running(toolbox.prefetch(guess))
    await settle()
    secrets_of(desk.context).keep("topsecret")
    desk.answer("lookup", {"customer_id": "topsecret"})
    await task
    assert "topsecret" not in await toolbox.run(1, "a", "lookup", "{}")


async def test_an_exception_of_the_authors_says_nothing_secret(caplog: pytest.LogCaptureFixture) -> None:
    agent, hushed = Agent("Hi."), "-".join(["hush", "hush"])

    @agent.on_call_start
    async def start(ctx: CallContext) -> None:
        ctx.secret(hushed)
        raise ValueError(f"cannot use {hushed} today")

    @agent.on_dtmf()
    async def keys(ctx: CallContext, digits: str) -> None:
        raise ValueError(f"bad keys {digits}")

    side = worker_side(agent)
    context = side.new_call("c1")
    await side.call_started(context)
    await side.keys_pressed(context, "80215")
    assert "cannot use" in caplog.text
    assert "bad keys" in caplog.text
    assert hushed not in caplog.text
    assert "80215" not in caplog.text


def test_a_row_of_spoken_digits_keeps_its_placeholder_while_it_grows() -> None:
    kept: list[None] = []
    secrets = Secrets(lambda: kept.append(None))
    heard = [
        secrets.hide_spoken(text, "en") for text in ("my pin", "my pin four", "my pin four seven, ok 12")
    ]
    assert heard == ["my pin", "my pin [secret 1]", "my pin [secret 1], ok [secret 2]"]
    assert secrets.reveal(heard[-1]) == "my pin 47, ok 12"
    secrets.turn_began()
    assert secrets.hide_spoken("nine", "en") == "[secret 3]"
    assert kept


def test_so_many_secrets_are_kept_and_what_comes_beyond_them_is_hidden_all_the_same() -> None:
    secrets = Secrets()
    placeholders = {secrets.keep(f"value {n}") for n in range(1_200)}
    assert len(placeholders) == 1_001
    assert secrets.hide_spoken("four seven", "en") == "[secret]"


@given(st.text(min_size=3, max_size=30), st.text(max_size=10), st.text(max_size=10))
def test_a_value_is_found_in_text_and_in_json(value: str, before: str, after: str) -> None:
    secrets = Secrets()
    placeholder = secrets.keep(value)
    assert secrets.hide(f"{before} {value} {after}").count(placeholder) >= 1
    assert placeholder in secrets.hide(json.dumps({"x": value}))
    assert placeholder in secrets.hide(json.dumps({"x": value}, ensure_ascii=False))
