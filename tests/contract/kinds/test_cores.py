"""The two cores decide alike because they share what decides; and neither holds anything of an author's to call."""

import ast
import gc
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from tests.contract.kinds.call import agent_for, on
from tests.regional.test_floors import MODULES

from repartee import CallContext, Notices, ToolCall
from repartee.session.cascade import Cascade
from repartee.session.relay import Relay

CORES = ("repartee.turn.machine", "repartee.relay.machine")

SHARED_BY_CORES = {
    "fillers": "repartee.turn.filler",
    "tool waits, and what is untold": "repartee.turn.tool_wait",
    "outcomes": "repartee.turn.outcome",
    "what was heard": "repartee.turn.history",
    "the caller's loudspeaker": "repartee.turn.speaker",
    "where a turn's time went": "repartee.latency.timeline",
}

SHARED_BY_SHELLS = {
    "when a session is lost": "repartee.turn.session_watch",
    "back-off": "repartee.latency.backoff",
    "how audio that has waited is sent": "repartee.session.paced_queue",
    "which phrase is recorded": "repartee.session.phrases",
}
SHELLS = ("repartee.session.cascade", "repartee.session.relay")


def reached_from(name: str) -> set[str]:
    """The modules that this one imports, directly or not."""
    found: set[str] = set()
    left = [name]
    while left:
        module = left.pop()
        if module in found or module not in MODULES:
            continue
        found.add(module)
        for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                left += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


@pytest.mark.parametrize("module", SHARED_BY_CORES.values(), ids=SHARED_BY_CORES)
def test_both_cores_import(module: str) -> None:
    assert all(module in reached_from(core) for core in CORES)


@pytest.mark.parametrize("module", SHARED_BY_SHELLS.values(), ids=SHARED_BY_SHELLS)
def test_both_kinds_import(module: str) -> None:
    assert all(module in reached_from(shell) for shell in SHELLS)


def defined_in(module: str) -> set[str]:
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")
    }


def test_neither_core_has_a_second_one_of_what_is_shared() -> None:
    shared = set().union(*(defined_in(module) for module in SHARED_BY_CORES.values()))
    relays = {name for name in MODULES if name.startswith("repartee.relay.")}
    assert relays
    for module in relays:
        assert not defined_in(module) & shared, module


# --- the core calls nobody ---------------------------------------------------------------------------------------


@dataclass
class Found:
    what: str
    way: list[str]


def author_code_in(root: object, is_the_authors: Callable[[types.CodeType], bool]) -> list[Found]:
    """Whatever can be reached from an object that runs an author's code. Modules, and classes of the package's own
    with what their methods name, are no part of the object."""
    found: list[Found] = []
    seen: set[int] = set()
    left: list[tuple[Any, list[str]]] = [(root, [])]
    while left:
        thing, way = left.pop()
        if id(thing) in seen or isinstance(thing, type | types.ModuleType | types.CodeType):
            continue
        seen.add(id(thing))
        here = [*way, type(thing).__name__]
        if isinstance(thing, types.FunctionType):
            if is_the_authors(thing.__code__):
                found.append(Found(thing.__qualname__, here))
            left += [
                (cell.cell_contents, here) for cell in thing.__closure__ or () if cell != types.CellType()
            ]
            left += [(default, here) for default in thing.__defaults__ or ()]
        elif isinstance(thing, types.MethodType):
            left += [(thing.__self__, here), (thing.__func__, here)]
        else:
            left += [(referent, here) for referent in gc.get_referents(thing)]
    return found


async def test_nothing_of_an_authors_is_within_a_cores_reach(kind: str) -> None:
    def expect(ctx: CallContext, text: str) -> ToolCall | None:
        return ToolCall("get_balance")

    agent = agent_for(
        kind,
        greeting="Good morning.",
        predictions={"balance": expect, "greeting": expect},
        notices=Notices(company="I am with you."),
    )

    @agent.on_call_start
    async def begin(ctx: CallContext) -> None:
        ctx.say("Welcome.")

    @agent.on_call_end
    async def end(ctx: CallContext) -> None: ...

    @agent.tool(read_only=True, filler="One moment.")
    async def get_balance(ctx: CallContext) -> dict[str, int]:
        """See how much money is in the account."""
        return {"balance": 1240}

    def is_the_authors(code: types.CodeType) -> bool:
        return code.co_filename == __file__ and code.co_name in ("expect", "begin", "end", "get_balance")

    async with on(kind, agent) as call:
        await call.hears_said("Good morning.")
        await call.asks()
        await call.hears_said("1240")
        [held] = [one for one in gc.get_objects() if isinstance(one, Cascade | Relay)]
        assert author_code_in(held, is_the_authors), "they are found where they are"
        assert author_code_in(held.core, is_the_authors) == []
