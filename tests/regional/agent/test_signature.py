"""How typed functions become tools that a model can call."""

from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from repartee import CallContext
from repartee.agent.signature import BadArguments, Signature, read_signature


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


NOTHING = object()


class Address(BaseModel):
    street: str
    number: int


def read(function: Any, name: str = "tool") -> Signature:
    signature, faults = read_signature(function, name)
    assert not faults
    assert signature is not None
    return signature


def faults_of(function: Any, name: str = "tool") -> list[str]:
    return read_signature(function, name)[1]


async def order(
    ctx: CallContext,
    dish: str,
    size: Size,
    copy: Annotated[int, Field(ge=1, description="How many of it.")] = 1,
    where: Literal["here", "away"] | None = None,
) -> str:
    """Order a dish.

    It is cooked at once.

    Args:
        dish: As the menu
            has it.
        copy: Not this description.
    """
    return f"{ctx.call_id} {dish} {size} {copy} {where}"


def test_the_schema_comes_from_hints_and_docstring() -> None:
    signature = read(order, "order")
    assert signature.description == "Order a dish. It is cooked at once."
    schema = signature.schema
    assert schema["required"] == ["dish", "size"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["dish"] == {"type": "string", "description": "As the menu has it."}
    assert schema["properties"]["copy"] == {
        "type": "integer", "minimum": 1, "default": 1, "description": "How many of it.",
    }  # fmt: skip
    assert "title" not in schema
    assert "ctx" not in schema["properties"]
    assert signature.wants_context
    assert signature.parameters == ("dish", "size", "copy", "where")
    assert signature.choices == {"size": ("small", "large"), "where": ("here", "away")}


def test_arguments_are_converted_for_the_function_and_made_canonical() -> None:
    signature = read(order)
    arguments = signature.read('{"size": "large", "dish": "soup", "copy": "2"}')
    assert arguments.values == {"dish": "soup", "size": Size.LARGE, "copy": 2, "where": None}
    same = signature.read({"dish": "soup", "copy": 2, "size": "large", "where": None})
    assert arguments.canonical == same.canonical
    assert arguments.canonical == '{"copy":2,"dish":"soup","size":"large","where":null}'


def test_models_and_dates_are_arguments_too() -> None:
    async def move(to: Address, on: date) -> None:
        """Move house."""

    arguments = read(move).read('{"to": {"street": "Mill", "number": 12}, "on": "2026-11-22"}')
    assert arguments.values == {"to": Address(street="Mill", number=12), "on": date(2026, 11, 22)}


def test_no_arguments_at_all_may_be_empty_text() -> None:
    async def ping() -> None:
        """Ping."""

    assert read(ping).read("").canonical == "{}"
    assert read(ping).schema["properties"] == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"size": "small"}', "dish: Field required"),
        ('{"dish": "soup", "size": "huge"}', "size: Input should be 'small' or 'large'"),
        ('{"dish": "soup", "size": "small", "colour": 3}', "colour: Extra inputs are not permitted"),
        ('{"dish": "soup", "size": "small", "copy": 0}', "copy: Input should be greater than or equal to 1"),
        ('{"dish": ', "Invalid JSON"),
        ("[1]", "Input should be an object"),
    ],
)
def test_wrong_arguments_are_told_in_words(text: str, said: str) -> None:
    with pytest.raises(BadArguments, match=said):
        read(order).read(text)


def test_parameters_named_like_pydantics_own_do_not_clash() -> None:
    async def odd(schema: str, model_dump: int, _hidden: bool, json: str = "x") -> None:
        """Odd names."""

    values = read(odd).read('{"schema": "s", "model_dump": 1, "_hidden": true}').values
    assert values == {"schema": "s", "model_dump": 1, "_hidden": True, "json": "x"}


def test_each_fault_of_a_function_is_told() -> None:
    async def bad(  # type: ignore[no-untyped-def]
        a,
        *rest: int,
        b: object,
        c: int = "x",  # type: ignore[assignment]
        d: object = NOTHING,
        ctx: CallContext,
    ) -> None:
        """Bad.

        Args:
            a: one
            z: not there
        """

    told = "\n".join(faults_of(bad, "bad tool"))
    assert "tool name 'bad tool' is not allowed" in told
    assert "parameter 'a' has no type. Write e.g. `a: str`" in told
    assert "a model cannot fill *rest" in told
    assert "the default of 'c' does not fit its type" in told
    assert "the default of 'd' cannot be written as JSON" in told
    assert "a CallContext must be the first parameter" in told
    assert "describes 'z', which is not among its parameters" in told


def test_a_docstring_is_required() -> None:
    async def silent(a: str) -> None: ...

    assert "has no docstring" in faults_of(silent)[0]


def test_a_type_without_a_schema_is_told() -> None:
    class Plain:
        pass

    async def take(thing: Plain) -> None:
        """Take a thing."""

    assert "whose type has no JSON schema" in faults_of(take)[0]


def test_an_unresolved_hint_is_told() -> None:
    async def take(thing: "Missing") -> None:  # type: ignore[name-defined] # noqa: F821
        """Take a thing."""

    assert "cannot be resolved (name 'Missing' is not defined)" in faults_of(take)[0]


def test_a_field_as_default_is_told() -> None:
    async def take(thing: str = Field(description="x")) -> None:
        """Take a thing."""

    assert "write `thing: Annotated[..., Field(...)] = default`" in faults_of(take)[0]
