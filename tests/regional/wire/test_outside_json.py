"""JSON from outside at a region: 64 levels are read, more never reach a parser, and there is no way around that."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repartee.errors import ClientProtocolError
from repartee.wire import client_events, outside_json, provider_session, relay_events
from repartee_edge import bounded_json

PACKAGE = Path(client_events.__file__).parents[1]
LONG_AUDIO = "A" * 1_200_000
READER = "wire/outside_json.py"
PARSERS = {"json.loads", "json.load", "msgspec.json.decode", "msgspec.json.Decoder", "jwt.decode"}
PARSING_NAMES = {"loads", "JSONDecoder", "decode_complete", "raw_decode", "PyJWS", "PyJWT"}
BOUNDED = {"outside_json.decode", "outside_json.Decoder"}
PROVIDERS = ("http_pool", "chat_stream")
BEHIND_THE_BOUND = {
    ("app/aws/task_protection.py", "outside_json.decode"),
    ("app/call_audio/encoder.py", "outside_json.decode"),
    ("app/call_audio/recorder.py", "outside_json.decode"),
    ("app/figures.py", "outside_json.decode"),
    ("app/telephone_controlling.py", "outside_json.Decoder"),
    ("app/carriers/vonage.py", "outside_json.decode"),
    ("app/telephone_joining.py", "outside_json.decode"),
    ("app/telephone_placing.py", "outside_json.decode"),
    ("app/telephone_out.py", "outside_json.Decoder"),
    ("app/turn_servers.py", "outside_json.decode"),
    ("app/webrtc_address.py", "outside_json.decode"),
    ("app/webrtc_body.py", "outside_json.decode"),
    ("app/worker.py", "outside_json.decode"),
    *((f"providers/{name}.py", "outside_json.Decoder") for name in PROVIDERS),
    ("providers/openai_chat.py", "outside_json.decode"),
    ("providers/vendor.py", "outside_json.decode"),
    ("wire/client_events.py", "outside_json.Decoder"),
    ("wire/client_events.py", "outside_json.decode"),
    ("wire/provider_session.py", "outside_json.decode"),
    ("wire/session_settings.py", "outside_json.decode"),
    ("wire/tool_schema.py", "outside_json.Decoder"),
    ("wire/tool_schema.py", "outside_json.decode"),
    ("wire/tolerant_json.py", "outside_json.Decoder"),
    ("wire/tolerant_json.py", "outside_json.decode"),
}
"""Every place in these folders where JSON is parsed. Tickets are parsed by ``repartee_edge.tickets``."""


def nested(levels: int, inner: str = "1") -> str:
    """An array so deep."""
    return "[" * levels + inner + "]" * levels


def calls(source: str) -> Iterator[tuple[str, ast.Call]]:
    """What a module calls, by its dotted name as it stands there."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            called = node.func
            yield ast.unparse(called.value if isinstance(called, ast.Subscript) else called), node


def parses(source: str) -> Iterator[str]:
    """What in a module parses JSON, or imports a parser by another name."""
    for name, call in calls(source):
        last = name.rpartition(".")[2]
        is_response = last == "json" and not call.args and "." in name
        if name in PARSERS or last in PARSING_NAMES or is_response:
            yield name
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module in ("json", "msgspec.json", "msgspec", "jwt"):
            yield from (f"from {node.module}" for a in node.names if a.name in ("loads", "json", "decode"))
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.asname and a.name in ("json", "msgspec", "jwt"))


def test_nothing_from_outside_is_parsed_beside_the_bounded_reader() -> None:
    around, behind = {}, set()
    folders = ("app", "providers", "wire")
    for path in (path for folder in folders for path in (PACKAGE / folder).rglob("*.py")):
        name, source = path.relative_to(PACKAGE).as_posix(), path.read_text(encoding="utf-8")
        if name != READER and (found := list(parses(source))):
            around[name] = found
        behind |= {(name, called) for called, _ in calls(source) if called in BOUNDED}
    assert around == {}, "parse it with repartee.wire.outside_json"
    assert behind == BEHIND_THE_BOUND


@pytest.mark.parametrize(
    "source",
    [
        "import json\njson.loads(a)",
        "msgspec.json.decode(a)",
        "D = msgspec.json.Decoder(A)",
        "D = msgspec.json.Decoder[A](A)",
        "answer.json()",
        "(await request.json())",
        "from json import loads",
        "from msgspec import json",
        "import json as j",
        "jwt.decode(a)",
    ],
)
def test_a_new_way_around_it_would_be_found(source: str) -> None:
    assert list(parses(source))


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"\\"[\\\\": ', "}]")])
@pytest.mark.parametrize("form", [str, str.encode])
def test_64_levels_pass_and_65_are_refused(opening: str, closing: str, form: Any) -> None:
    count = 32 if opening.startswith("[{") else 64
    deep = opening * count + "1" + closing * count
    assert outside_json.decode(form(deep)) == json.loads(deep)
    for deeper in (f"[{deep}]", f'{{"é":{deep}}}', f"[1,{nested(8000)}]", "[" * 200_000, '{"a":' * 200_000):
        with pytest.raises(outside_json.TooDeep, match="64 levels"):
            outside_json.decode(form(deeper))


def test_brackets_in_strings_and_beside_each_other_are_no_levels() -> None:
    value = {"a": "[" * 500, 'b"[': "\\", "c": ['"[{' * 100, "\\\\" * 50 + "["], "d": [[{}]] * 500}
    assert outside_json.decode(json.dumps(value)) == value


@given(st.recursive(st.none() | st.text('[]{}"\\a'), lambda i: st.lists(i) | st.dictionaries(st.text(), i)))
def test_it_counts_as_the_edge_does(value: Any) -> None:
    document = json.dumps(value).encode()
    levels = outside_json._levels(document)
    bounded_json.check_levels(document, levels)
    if levels:
        with pytest.raises(bounded_json.BadJson):
            bounded_json.check_levels(document, levels - 1)


@given(st.text('[]{}",:\\1 é'))
def test_what_is_no_json_is_one_kind_of_error(document: str) -> None:
    try:
        outside_json.decode("[" * 60 + document)
    except msgspec.DecodeError:
        return


def test_a_client_event_may_be_64_levels_deep() -> None:
    frame = '{"type":"session.update","event_id":"mine","session":{"tracing":%s}}'
    assert client_events.decode(frame % nested(62)).event_id == "mine"
    for levels in (64, 8000, 200_000):
        with pytest.raises(ClientProtocolError, match="64 levels") as refused:
            client_events.decode(frame % nested(levels))
        assert refused.value.code == "event_too_deep"
    audio = f'{{"type":"input_audio_buffer.append","audio":"{LONG_AUDIO}","later":{nested(64)}}}'
    with pytest.raises(ClientProtocolError, match="64 levels"):
        client_events.decode(audio)


def test_settings_for_the_provider_may_be_64_levels_deep() -> None:
    update = '{"type":"session.update","session":{"type":"realtime","tracing":%s}}'
    assert provider_session.own_settings(update % nested(62)) == {"tracing": json.loads(nested(62))}
    with pytest.raises(outside_json.TooDeep):
        provider_session.own_settings(update % nested(63))


def test_what_a_provider_says_may_be_64_levels_deep() -> None:
    said = '{"type":"rate_limits.updated","later":%s}'
    assert relay_events.read((said % nested(63)).encode()).type == "rate_limits.updated"
    for levels in (64, 8000):
        with pytest.raises(msgspec.MsgspecError, match="64 levels"):
            relay_events.read((said % nested(levels)).encode())
    delta = b'{"type":"response.output_audio.delta","delta":"","later":%s}' % nested(8000).encode()
    assert relay_events.audio_in(delta) is None
