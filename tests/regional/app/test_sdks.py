"""What is imported of a vendor's SDK is used on a call's way, and what is read here has the SDK's names."""

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import elevenlabs
import pydantic
import pytest
from deepgram.listen.v1.types import ListenV1Results
from deepgram.listen.v2.types import ListenV2TurnInfo
from openai.types.chat import ChatCompletionChunk
from tests.regional.app.running import calling, region, spoken_turn
from tests.regional.providers.test_elevenlabs import studio

from repartee.agent.agent import Agent
from repartee.providers import elevenlabs as our_elevenlabs

ROOT = Path(__file__).parents[3]
PROVIDERS = ROOT / "regional" / "repartee" / "providers"
SDKS = {"deepgram", "openai", "cartesia", "elevenlabs"}

LOADED_EARLY = {"deepgram.listen.v1.client", "deepgram.listen.v2.client", "deepgram.speak.v2.client"}
"""Imported for what it does: the SDK would load them in the middle of the first call."""

Functions = dict[tuple[str, str], set[tuple[str, int]]]


def sdk_names(tree: ast.Module) -> Iterator[str]:
    """The names by which a file knows parts of SDKs."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in SDKS:
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in SDKS and alias.name not in LOADED_EARLY:
                    yield alias.asname or alias.name.split(".")[0]


def uses() -> Functions:
    """Each name of an SDK in a file, and the functions there that use it; the module itself is line 0."""
    found: Functions = {}
    for path in sorted(PROVIDERS.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for name in set(sdk_names(tree)):
            found[path.name, name] = {(path.name, line) for line in lines_using(tree, name)}
    return found


def lines_using(tree: ast.Module, name: str) -> Iterator[int]:
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    used = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == name]
    for line in used:
        around = [each for each in functions if each.lineno <= line <= (each.end_lineno or 0)]
        yield max((each.lineno for each in around), default=0)


DOCTORS = {"model_end.py"}
"""What only the doctor asks."""


class Entered:
    """Notes each function of the adapters that is entered while it is on."""

    def __init__(self) -> None:
        self.functions: set[tuple[str, int]] = {(path.name, 0) for path in PROVIDERS.glob("*.py")}
        self._seen: set[CodeType] = set()

    def __enter__(self) -> "Entered":
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        if event == "call" and code not in self._seen:
            self._seen.add(code)
            path = Path(code.co_filename)
            if path.parent == PROVIDERS:
                self.functions.add((path.name, code.co_firstlineno))


async def call(environment: Mapping[str, str], agent: Agent | None = None) -> None:
    async with (
        region(environment, agent=agent) as worker,
        calling(f"{worker.url}?audio=binary&events=repartee") as caller,
    ):
        await spoken_turn(caller)


async def test_every_import_of_an_sdk_is_used_on_a_calls_way(providers: dict[str, str]) -> None:
    """A name that no function uses on calls of all vendors, from the first dial to the end, is imported for show."""
    with Entered() as entered:
        await call(providers, Agent(instructions="Be kind.", keyterms=["Repartee"]))
        await call({**providers, "REPARTEE_STT": "nova"})
        await call({**providers, "REPARTEE_STT": "ink-2", "REPARTEE_TTS": "flux-tts"})
        await call(providers, Agent(instructions="Be kind.", model="gpt-realtime-1.5"))
        async with studio() as there:
            speaking = {"ELEVENLABS_API_KEY": "key", "ELEVENLABS_BASE_URL": there.base_url}
            await call({**providers, **speaking, "REPARTEE_TTS": "elevenlabs"})
    found = {name: where for name, where in uses().items() if name[0] not in DOCTORS}
    assert {vendor for vendor, _ in found} >= {
        "cartesia.py",
        "deepgram.py",
        "elevenlabs.py",
        "openai_chat.py",
    }
    assert {name: where for name, where in found.items() if not where & entered.functions} == {}


def names_of(model: type[pydantic.BaseModel]) -> set[str]:
    """The names that an SDK's message has on the wire."""
    return {field.alias or name for name, field in model.model_fields.items()}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"type", "event", "turn_index", "transcript"}, ListenV2TurnInfo),
        (
            {"type", "channel", "start", "duration", "is_final", "speech_final", "from_finalize"},
            ListenV1Results,
        ),
        ({"choices"}, ChatCompletionChunk),
        ({"audio", "alignment", "contextId"}, elevenlabs.AudioOutputMulti),
        ({"isFinal", "contextId"}, elevenlabs.FinalOutputMulti),
        ({"chars", "charStartTimesMs", "charDurationsMs"}, elevenlabs.Alignment),
    ],
)
def test_what_is_read_has_the_names_of_the_sdk(ours: set[str], theirs: type[pydantic.BaseModel]) -> None:
    assert ours <= names_of(theirs)


def test_characters_are_timed_in_either_spelling() -> None:
    times: dict[str, Any] = {"chars": list("Hi "), "charStartTimesMs": [0.0, 10.0, 20.0]}
    for spelling in ("charsDurationsMs", "charDurationsMs"):
        alignment = our_elevenlabs._Alignment(**(times | {spelling: [10.0, 10.0, 10.0]}))
        [word] = our_elevenlabs.WordTimes().take(alignment, 0.0)
        assert (word.text, word.start_ms, word.end_ms) == ("Hi", 0.0, 20.0)
