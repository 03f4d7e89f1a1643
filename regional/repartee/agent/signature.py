"""A typed Python function as a language model sees it: a name, a description and a JSON schema of arguments.

Owns how to read hints and docstrings and how to validate arguments (pydantic makes the schema and validates). Knows
nothing about calls, time or how a tool runs.
"""

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import docstring_parser
import msgspec
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticSerializationError, SchemaError, to_jsonable_python

from repartee.agent.context import CallContext
from repartee.agent.secret_values import is_secret

TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What OpenAI takes as a function's name."""

Choices = Mapping[str, tuple[str, ...]]

_canonical = msgspec.json.Encoder(order="deterministic")


class BadArguments(Exception):
    """The arguments do not fit; the text tells a language model what to correct."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """Validated arguments: by parameter for the function, and as canonical JSON text (defaults included)."""

    values: Mapping[str, Any]
    canonical: str


@dataclass(frozen=True)
class Signature:
    """What a model learns about a function, and how to read its arguments.

    ``choices`` are the words that a parameter may be, if it has a fixed set (``Literal`` or an ``Enum``); the
    arguments of ``secret`` parameters stay out of records, logs and models.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    wants_context: bool
    required: tuple[str, ...]
    choices: Choices
    secret: frozenset[str]
    _fields: Mapping[str, str]
    _model: type[BaseModel]

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters that a model can give, in order."""
        return tuple(self._fields)

    def read(self, arguments: str | Mapping[str, Any]) -> Arguments:
        """Validate arguments, as JSON text (empty text: none) or by name. Raises BadArguments."""
        try:
            if isinstance(arguments, str):
                model = self._model.model_validate_json(arguments.strip() or "{}")
            else:
                model = self._model.model_validate(arguments)
        except ValidationError as error:
            raise BadArguments(_what_is_wrong(error)) from None
        values = {name: getattr(model, attribute) for name, attribute in self._fields.items()}
        dumped = model.model_dump(mode="json", by_alias=True)
        return Arguments(values, _canonical.encode(dumped).decode())


def read_signature(function: Callable[..., Any], name: str) -> tuple[Signature | None, list[str]]:
    """A function's signature, or what keeps it from having one, in sentences."""
    faults = _name_faults(name)
    docs = docstring_parser.parse(inspect.getdoc(function) or "")
    if not (docs.description or "").strip():
        faults.append(
            f"tool {name!r} has no docstring. Say in one what it does: the model decides by that when to call it."
        )
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        return None, [*faults, f"tool {name!r} has a type hint that cannot be resolved ({error})."]
    parameters = list(inspect.signature(function).parameters.values())
    wants_context = bool(parameters) and hints.get(parameters[0].name) is CallContext
    parameters = parameters[1:] if wants_context else parameters
    described = {p.arg_name: " ".join((p.description or "").split()) for p in docs.params}
    for extra in described.keys() - {p.name for p in parameters}:
        faults.append(f"tool {name!r}: its docstring describes {extra!r}, which is not among its parameters.")
    for parameter in parameters:
        faults += _parameter_faults(name, parameter, hints)
    if faults:
        return None, faults
    fields = {p.name: f"argument_{index}" for index, p in enumerate(parameters)}
    try:
        model = _arguments_model(name, parameters, hints, described, fields)
        schema = model.model_json_schema(by_alias=True)
    except (PydanticUserError, SchemaError) as error:
        reason = str(error).splitlines()[0]
        return None, [f"tool {name!r} has a parameter whose type has no JSON schema ({reason})"]
    schema = _without_titles(schema)
    required = tuple(p.name for p in parameters if p.default is p.empty)
    description = " ".join((docs.description or "").split())
    choices = _choices(schema)
    secret = frozenset(p.name for p in parameters if is_secret(hints[p.name]))
    return Signature(name, description, schema, wants_context, required, choices, secret, fields, model), []


def _name_faults(name: str) -> list[str]:
    if TOOL_NAME.fullmatch(name):
        return []
    return [f"tool name {name!r} is not allowed: use 1 to 64 letters, digits, _ and -."]


def _parameter_faults(tool: str, parameter: inspect.Parameter, hints: Mapping[str, Any]) -> list[str]:
    name = parameter.name
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        return [f"tool {tool!r}: a model cannot fill {parameter!s}. Give each parameter a name of its own."]
    if name not in hints:
        return [f"tool {tool!r}: parameter {name!r} has no type. Write e.g. `{name}: str`."]
    if hints[name] is CallContext:
        return [f"tool {tool!r}: a CallContext must be the first parameter, and the only one of its kind."]
    if parameter.default is parameter.empty:
        return []
    if isinstance(parameter.default, FieldInfo):
        return [f"tool {tool!r}: write `{name}: Annotated[..., Field(...)] = default`, not `= Field(...)`."]
    try:
        to_jsonable_python(parameter.default)
        TypeAdapter(hints[name]).validate_python(parameter.default)
    except PydanticSerializationError:
        return [
            f"tool {tool!r}: the default of {name!r} cannot be written as JSON. Use a plain value or None."
        ]
    except ValidationError:
        return [f"tool {tool!r}: the default of {name!r} does not fit its type."]
    except (PydanticUserError, SchemaError):
        return []  # told of with the schema
    return []


def _arguments_model(
    name: str,
    parameters: list[inspect.Parameter],
    hints: Mapping[str, Any],
    described: Mapping[str, str],
    fields: Mapping[str, str],
) -> type[BaseModel]:
    """A model whose attributes have neutral names, since a parameter's own may clash with pydantic's."""
    definitions: dict[str, Any] = {}
    for parameter in parameters:
        default = ... if parameter.default is parameter.empty else parameter.default
        more: dict[str, Any] = {"alias": parameter.name}
        if parameter.name in described and not _describes_itself(hints[parameter.name]):
            more["description"] = described[parameter.name]
        definitions[fields[parameter.name]] = (hints[parameter.name], Field(default, **more))
    config = ConfigDict(extra="forbid")
    model: type[BaseModel] = create_model(name, __config__=config, **definitions)
    return model


def _describes_itself(hint: Any) -> bool:
    return any(isinstance(m, FieldInfo) and m.description for m in getattr(hint, "__metadata__", ()))


def _without_titles(schema: dict[str, Any]) -> dict[str, Any]:
    """Titles repeat the names, at the cost of tokens."""
    slim = {key: value for key, value in schema.items() if key != "title"}
    slim["properties"] = {
        name: {key: value for key, value in prop.items() if key != "title"}
        for name, prop in schema.get("properties", {}).items()
    }
    return slim


def _choices(schema: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    definitions = schema.get("$defs", {})
    found: dict[str, tuple[str, ...]] = {}
    for name, prop in schema["properties"].items():
        for option in (prop, *prop.get("anyOf", ())):
            named = definitions.get(str(option.get("$ref", "")).rpartition("/")[2], option)
            values = named.get("enum") or ([named["const"]] if "const" in named else [])
            if words := tuple(value for value in values if isinstance(value, str)):
                found[name] = words
    return found


def _what_is_wrong(error: ValidationError) -> str:
    said = []
    for detail in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in detail["loc"])
        said.append(f"{where}: {detail['msg']}" if where else detail["msg"])
    return "; ".join(said)
