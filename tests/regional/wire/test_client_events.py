"""Client events on the wire: what is understood, and what each mistake is answered with."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from repartee.errors import ClientProtocolError
from repartee.wire import client_events as w
from repartee.wire import settings_patch


def event(type_: str, /, **fields: Any) -> w.ClientEvent:
    return w.decode(json.dumps({"type": type_, **fields}))


def refusal(frame: str | bytes) -> ClientProtocolError:
    with pytest.raises(ClientProtocolError) as caught:
        w.decode(frame)
    return caught.value


MINIMAL: dict[str, dict[str, Any]] = {
    "session.update": {"session": {}},
    "input_audio_buffer.append": {"audio": "AAAA"},
    "input_audio_buffer.commit": {},
    "input_audio_buffer.clear": {},
    "output_audio_buffer.clear": {},
    "conversation.item.create": {"item": {"type": "message"}},
    "conversation.item.retrieve": {"item_id": "item_1"},
    "conversation.item.delete": {"item_id": "item_1"},
    "conversation.item.truncate": {"item_id": "item_1", "content_index": 0, "audio_end_ms": 1},
    "response.create": {},
    "response.cancel": {},
    "repartee.dtmf": {"digit": "5"},
    "repartee.turn.heard": {"turn_id": 1, "stages_ms": {"capture": 30, "network": 80.5, "playback": 40}},
}


def test_there_is_an_example_of_every_event() -> None:
    assert set(MINIMAL) == w.EVENT_TYPES


@pytest.mark.parametrize("type_", sorted(MINIMAL))
def test_every_event_is_understood_with_and_without_an_id(type_: str) -> None:
    assert event(type_, **MINIMAL[type_]).event_id is None
    assert event(type_, event_id="mine", **MINIMAL[type_]).event_id == "mine"


@pytest.mark.parametrize("type_", sorted(MINIMAL))
def test_fields_that_are_not_the_protocols_are_refused(type_: str) -> None:
    error = refusal(json.dumps({"type": type_, **MINIMAL[type_], "from_the_future": {"deep": [1, 2]}}))
    assert (error.code, error.param) == ("unknown_parameter", "from_the_future")
    assert str(error) == "Unknown parameter: 'from_the_future'."


def test_audio_comes_out_as_bytes() -> None:
    append = event("input_audio_buffer.append", audio="AQIDBA==")
    assert isinstance(append, w.AppendAudio)
    assert append.audio == b"\x01\x02\x03\x04"


def test_null_and_absent_turn_detection_are_told_apart() -> None:
    manual = event(
        "session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": None}}}
    )
    silent = event("session.update", session={"type": "realtime", "audio": {"input": {}}})
    assert isinstance(manual, w.SessionUpdate)
    assert isinstance(silent, w.SessionUpdate)
    assert isinstance(manual.session.audio, settings_patch.Audio)
    assert isinstance(silent.session.audio, settings_patch.Audio)
    assert isinstance(manual.session.audio.input, settings_patch.AudioInput)
    assert isinstance(silent.session.audio.input, settings_patch.AudioInput)
    assert manual.session.audio.input.turn_detection is None
    assert silent.session.audio.input.turn_detection is UNSET


def test_what_the_sdk_sends_for_a_whole_session_is_understood() -> None:
    update = event(
        "session.update",
        session={
            "type": "realtime",
            "model": "gpt-realtime",
            "instructions": "Be brief.",
            "output_modalities": ["audio"],
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24000},
                    "noise_reduction": {"type": "near_field"},
                    "transcription": {"model": "whisper-1", "language": "de"},
                    "turn_detection": {
                        "type": "server_vad",
                        "threshold": 0.5,
                        "silence_duration_ms": 300,
                        "prefix_padding_ms": 200,
                        "create_response": False,
                    },
                },
                "output": {"format": {"type": "audio/pcmu"}, "voice": {"id": "voice_1"}, "speed": 1.2},
            },
            "tools": [{"type": "function", "name": "lookup", "parameters": {"type": "object"}}],
            "tool_choice": {"type": "function", "name": "lookup"},
            "max_output_tokens": "inf",
            "tracing": None,
            "truncation": "auto",
        },
    )
    assert isinstance(update, w.SessionUpdate)
    assert isinstance(update.session.tools, list)
    assert update.session.tools[0].name == "lookup"
    assert update.session.tool_choice == settings_patch.FunctionChoice("lookup")


# --- mistakes ----------------------------------------------------------------------------------------------------

MISTAKES = [
    ("", "invalid_json", None),
    ("{", "invalid_json", None),
    ("[]", "invalid_json", None),
    ("null", "invalid_json", None),
    ('"text"', "invalid_json", None),
    ("17", "invalid_json", None),
    ('{"type":"response.create"} and more', "invalid_json", None),
    ('{"type":"response.cancel","response_id":NaN}', "invalid_json", None),
    ("{}", "missing_required_parameter", "type"),
    ('{"type":null}', "missing_required_parameter", "type"),
    ('{"type":{"type":"response.create"}}', "missing_required_parameter", "type"),
    ('{"type":"response.make"}', "invalid_value", "type"),
    ('{"type":"session.update"}', "missing_required_parameter", "session"),
    ('{"type":"session.update","session":[]}', "invalid_value", "session"),
    ('{"type":"session.update","session":{"type":"translation"}}', "invalid_value", "session.type"),
    ('{"type":"session.update","session":{"instructions":5}}', "invalid_value", "session.instructions"),
    (
        '{"type":"session.update","session":{"tools":[{"name":"a"},{"name":7}]}}',
        "invalid_value",
        "session.tools[1].name",
    ),
    (
        '{"type":"session.update","session":{"tools":[{"name":"a"},{"name":"x","strict":true}]}}',
        "unknown_parameter",
        "session.tools[1].strict",
    ),
    (
        '{"type":"session.update","session":{"audio":{"input":{"format":{"type":"audio/opus"}}}}}',
        "invalid_value",
        "session.audio.input.format.type",
    ),
    (
        '{"type":"session.update","session":{"audio":{"input":{"turn_detection":{"type":"psychic"}}}}}',
        "invalid_value",
        "session.audio.input.turn_detection.type",
    ),
    (
        '{"type":"session.update","session":{"max_output_tokens":1e30}}',
        "invalid_value",
        "session.max_output_tokens",
    ),
    ('{"type":"input_audio_buffer.append"}', "missing_required_parameter", "audio"),
    ('{"type":"input_audio_buffer.append","audio":5}', "invalid_value", "audio"),
    ('{"type":"input_audio_buffer.append","audio":"not base64!"}', "invalid_value", "audio"),
    ('{"type":"conversation.item.create"}', "missing_required_parameter", "item"),
    ('{"type":"conversation.item.create","item":{"type":"poem"}}', "invalid_value", "item.type"),
    ('{"type":"conversation.item.delete"}', "missing_required_parameter", "item_id"),
    ('{"type":"conversation.item.truncate","item_id":"x"}', "missing_required_parameter", "audio_end_ms"),
    (
        '{"type":"conversation.item.truncate","item_id":"x","audio_end_ms":1e999}',
        "invalid_value",
        "audio_end_ms",
    ),
    ('{"type":"response.create","response":5}', "invalid_value", "response"),
    ('{"type":"response.create","response":{"metadata":{"a":1}}}', "invalid_value", "response.metadata[...]"),
    ('{"type":"response.create","event_id":7}', "invalid_value", "event_id"),
]


@pytest.mark.parametrize(("frame", "code", "param"), MISTAKES, ids=[frame[:60] for frame, _, _ in MISTAKES])
def test_a_mistake_is_named(frame: str, code: str, param: str | None) -> None:
    error = refusal(frame)
    assert (error.code, error.param) == (code, param)
    assert str(error).endswith(".")
    assert "\n" not in str(error)


def test_the_refusal_carries_the_clients_own_event_id() -> None:
    assert refusal('{"type":"response.make","event_id":"mine"}').event_id == "mine"
    assert refusal('{"type":"session.update","event_id":"mine"}').event_id == "mine"
    assert refusal('{"event_id":"mine"}').event_id == "mine"


def test_an_unknown_event_is_answered_with_those_there_are() -> None:
    told = str(refusal('{"type":"input_audio_buffer.apend"}'))
    assert "'input_audio_buffer.apend'" in told
    assert all(type_ in told for type_ in w.EVENT_TYPES)


def test_a_very_long_type_is_not_echoed_in_full() -> None:
    assert len(str(refusal(json.dumps({"type": "x" * 100_000})))) < 1_000


@pytest.mark.parametrize(
    "frame", [b'\xff{"type":"response.create"}', b'{"type":"response.cr\xe9ate"}', '{"a":"\ud800"}']
)
def test_wrong_utf_8_is_a_mistake_like_others(frame: str | bytes) -> None:
    assert refusal(frame).code in ("invalid_json", "invalid_value")


def test_an_event_beyond_the_limit_is_refused_before_it_is_read() -> None:
    frame = '{"type":"input_audio_buffer.append","audio":"' + "A" * w.MAX_EVENT_BYTES + '"}'
    error = refusal(frame)
    assert error.code == "event_too_large"
    assert "8 MiB" in str(error)


def test_an_event_at_the_limit_is_taken() -> None:
    envelope = '{"type":"input_audio_buffer.append","audio":""}'
    room = (w.MAX_EVENT_BYTES - len(envelope)) // 4 * 4
    taken = w.decode(envelope[:-2] + "A" * room + '"}')
    assert isinstance(taken, w.AppendAudio)
    assert len(taken.audio) == room // 4 * 3


def created(text: str) -> str:
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    return json.dumps({"type": "conversation.item.create", "event_id": "mine", "item": item})


def test_only_audio_may_be_longer_than_a_mebibyte() -> None:
    room = w.MAX_OTHER_BYTES - len(created(""))
    assert isinstance(w.decode(created("x" * room)), w.CreateItem)
    error = refusal(created("x" * (room + 1)))
    assert (error.code, error.event_id) == ("event_too_large", "mine")
    assert "conversation.item.create" in str(error)


def test_nothing_else_is_kept_of_what_is_too_long() -> None:
    assert refusal('{"event_id":"' + "x" * 600 + '","type":"what?"}').event_id is None
    assert refusal('{"type":"' + "x" * 2_000_000 + '"}').code == "event_too_large"
    assert refusal("[" * 2_000_000).code == "event_too_deep"


@pytest.mark.parametrize(
    ("session", "most", "param"),
    [
        (lambda n: {"tools": [{"type": "function", "name": f"t{i}"} for i in range(n)]}, 128, "tools"),
        (lambda n: {"tools": [{"type": "function", "name": "t" * n}]}, 64, "tools[0].name"),
        (lambda n: {"metadata": {f"k{i}": "v" for i in range(n)}}, 16, "metadata"),
        (lambda n: {"metadata": {"k" * n: "v"}}, 64, "metadata"),
        (lambda n: {"metadata": {"k": "v" * n}}, 512, "metadata[...]"),
        (lambda n: {"instructions": "i" * n}, 100_000, "instructions"),
        (lambda n: {"model": "m" * n}, 512, "model"),
        (lambda n: {"audio": {"output": {"voice": {"id": "v" * n}}}}, 512, "audio.output.voice.id"),
        (
            lambda n: {"audio": {"input": {"transcription": {"language": "l" * n}}}},
            512,
            "audio.input.transcription.language",
        ),
    ],
)
def test_settings_are_bounded(session: Callable[[int], dict[str, Any]], most: int, param: str) -> None:
    def update(n: int) -> str:
        return json.dumps({"type": "session.update", "session": session(n)})

    assert isinstance(w.decode(update(most)), w.SessionUpdate)
    error = refusal(update(most + 1))
    assert error.code == "invalid_value"
    assert (error.param or "").startswith(f"session.{param}")


@pytest.mark.parametrize("depth", [100, 1_000, 100_000])
@pytest.mark.parametrize("brackets", ['{"a":|}', "[|]"])
def test_nesting_however_deep_is_an_answer_not_a_crash(depth: int, brackets: str) -> None:
    opening, closing = brackets.split("|")
    deep = opening * depth + "1" + closing * depth
    frame = f'{{"type":"session.update","session":{{"tools":[{{"name":"x","parameters":{{"a":{deep}}}}}]}}}}'
    assert refusal(frame).code == "event_too_deep"


# --- anything at all ---------------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)

near_events = st.builds(
    lambda type_, fields: {"type": type_, **fields},
    st.sampled_from(sorted(w.EVENT_TYPES)) | st.text(max_size=12),
    st.dictionaries(
        st.sampled_from(
            [
                "session",
                "audio",
                "item",
                "item_id",
                "response",
                "event_id",
                "audio_end_ms",
                "response_id",
                "type",
            ]
        ),
        json_values
        | st.dictionaries(
            st.sampled_from(["type", "audio", "tools", "input", "output", "content", "role", "instructions"]),
            json_values,
            max_size=4,
        ),
        max_size=4,
    ),
)


def decoded_or_refused(frame: str | bytes) -> None:
    try:
        w.decode(frame)
    except ClientProtocolError as error:
        assert str(error)


@settings(max_examples=200, deadline=None)
@given(st.text() | st.binary())
@example("\ud800")
def test_any_frame_is_decoded_or_refused(frame: str | bytes) -> None:
    decoded_or_refused(frame)


@settings(max_examples=300, deadline=None)
@given(near_events)
def test_anything_like_an_event_is_decoded_or_refused(near_event: dict[str, Any]) -> None:
    decoded_or_refused(json.dumps(near_event))
