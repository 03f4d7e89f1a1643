"""How each family of models is asked: the table, and the strict stand-in that takes what it says."""

import json
from typing import Any

import pytest

from repartee.providers.chat_body import ChatBody
from repartee.providers.interfaces import ReplyRequest
from repartee.providers.openai_models import asking, limit_field
from repartee.standins.chat_request import MODELS, read_request

TOOL = {
    "type": "function",
    "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}},
}
REQUEST = ReplyRequest(
    messages=(
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "system", "content": "They are in a hurry."},
    ),
    tools=(TOOL,),
    temperature=0.3,
    max_tokens=50,
)
OPENAI = "https://api.openai.com/v1"


def body(model: str, base_url: str = OPENAI) -> dict[str, Any]:
    return ChatBody(model, limit_field(base_url, model)).of(REQUEST)


@pytest.mark.parametrize(
    ("model", "tokens", "effort", "temperature", "role"),
    [
        ("gpt-4.1-mini", "max_completion_tokens", None, 0.3, "system"),
        ("gpt-4o", "max_completion_tokens", None, 0.3, "system"),
        ("o3-mini", "max_completion_tokens", "low", None, "developer"),
        ("gpt-5", "max_completion_tokens", "minimal", None, "developer"),
        ("gpt-5.1", "max_completion_tokens", "none", 0.3, "developer"),
        ("gpt-5.3-chat-latest", "max_completion_tokens", None, 0.3, "system"),
        ("gpt-5.4-mini", "max_completion_tokens", "none", 0.3, "developer"),
        ("gpt-5.6-luna", "max_completion_tokens", "none", None, "developer"),
        ("gpt-6-luna", "max_completion_tokens", "none", None, "developer"),
        ("ft:gpt-5.6-luna:us:1", "max_completion_tokens", "none", None, "developer"),
    ],
)
def test_what_a_family_is_asked_with_at_openai(
    model: str, tokens: str, effort: str | None, temperature: float | None, role: str
) -> None:
    asked = body(model)
    assert asked[tokens] == 50
    assert asked.get("reasoning_effort") == effort
    assert asked.get("temperature") == temperature
    assert [message["role"] for message in asked["messages"]] == [role, "user", role]
    assert len({"max_tokens", "max_completion_tokens"} & asked.keys()) == 1


@pytest.mark.parametrize(
    ("model", "tokens", "effort", "role"),
    [
        ("openai/gpt-oss-120b", "max_tokens", "low", "system"),
        ("llama-4-scout", "max_tokens", None, "system"),
        ("gemini-3-flash", "max_tokens", None, "system"),
        ("openai/gpt-6-luna", "max_completion_tokens", "none", "developer"),
    ],
)
def test_what_a_family_is_asked_with_elsewhere(
    model: str, tokens: str, effort: str | None, role: str
) -> None:
    asked = body(model, "https://api.groq.com/openai/v1")
    assert asked[tokens] == 50
    assert asked.get("reasoning_effort") == effort
    assert asked["messages"][0]["role"] == role


@pytest.mark.parametrize("model", MODELS)
def test_the_strict_stand_in_takes_what_every_model_of_its_is_asked_with(model: str) -> None:
    request = read_request(json.dumps(body(model)).encode())
    assert request.max_tokens == 50
    assert request.tools == [TOOL]


@pytest.mark.parametrize(
    ("base_url", "field"),
    [
        (OPENAI, "max_completion_tokens"),
        *(
            (f"https://{place}.api.openai.com/v1", "max_completion_tokens")
            for place in ("eu", "us", "au", "in", "jp", "ae")
        ),
        ("https://mine.openai.azure.com/openai/v1", "max_completion_tokens"),
        ("https://api.openai.com.example.com/v1", "max_tokens"),
        ("https://notapi.openai.example/v1", "max_tokens"),
        ("http://127.0.0.1:8000/v1", "max_tokens"),
    ],
)
def test_the_limits_name_goes_by_the_host_for_older_models(base_url: str, field: str) -> None:
    assert limit_field(base_url, "gpt-4.1-mini") == field
    assert limit_field(base_url, "gpt-6-luna") == "max_completion_tokens"


@pytest.mark.parametrize(
    ("model", "refused", "other"), [("gpt-6-luna", "developer", "system"), ("other", "system", "developer")]
)
def test_a_role_that_a_server_refuses_by_name_is_not_sent_again(model: str, refused: str, other: str) -> None:
    bodies = ChatBody(model, "max_tokens")
    first, beside = bodies.of(REQUEST), bodies.of(REQUEST)
    words = f"Unsupported value: 'messages[0].role' does not support '{refused}' with this model."
    assert bodies.learn(first, 400, "messages[0].role", words)
    assert [message["role"] for message in bodies.of(REQUEST)["messages"]] == [other, "user", other]
    assert bodies.learn(beside, 400, None, words), "another request was on its way with it"
    refusal = f"messages[0].role: no {other} role either"
    assert not bodies.learn(bodies.of(REQUEST), 400, "messages[0].role", refusal)


def test_a_conversation_without_instructions_is_passed_as_it_is() -> None:
    messages = ({"role": "user", "content": "Hi"},)
    assert ChatBody("gpt-6-luna", "max_tokens").of(ReplyRequest(messages=messages))["messages"] is messages


def test_a_family_that_is_unknown_is_asked_plainly() -> None:
    assert asking("no-such-model") == asking("gpt-4.1")
