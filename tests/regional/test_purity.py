"""A module that says it is pure imports nothing that waits, reaches out or differs from one run to the next.

And of a call's modules: tasks start in the shell, only the transport says that the client is gone, the session knows
neither JSON nor ASGI.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.regional.test_floors import MODULES, PURE_TOPS, part_of

EDGE = Path(__file__).parents[2] / "edge"

IMPURE = frozenset(
    [
        *("asyncio", "socket", "time", "os", "secrets", "uuid", "sqlite3"),
        *(
            "aiosqlite",
            "asyncpg",
            "curio",
            "httpx",
            "httpx2",
            "importlib",
            "selectors",
            "signal",
            "socketserver",
        ),
        *("ssl", "starlette", "subprocess", "threading", "trio", "urllib.request", "uvicorn", "websockets"),
    ]
)
"""Tasks, sockets, clocks, the environment, randomness, databases; and the ways to get at them."""

SEVEN = ("asyncio", "socket", "time", "os", "secrets", "uuid", "sqlite3")

PARTLY = frozenset(["repartee.app.aws.task_protection"])
"""Say that a class in them is pure; the module is its shell too."""

CALL = ("session", "transport", "agent", "turn", "relay", "rtc", "wire", "audio", "latency")
"""The parts whose modules belong to one call."""


def all_modules() -> dict[str, Path]:
    """Every module of the package and of the edge, by its dotted name."""
    edge = {
        ".".join(path.relative_to(EDGE).with_suffix("").parts): path
        for path in (EDGE / "repartee_edge").rglob("*.py")
    }
    return {**MODULES, **edge}


ALL = {name: path.read_text(encoding="utf-8") for name, path in all_modules().items()}


def says_it_is_pure(name: str) -> bool:
    """Because of the floor that it is on, or in so many words."""
    said = ast.get_docstring(ast.parse(ALL[name])) or ""
    return part_of(name) in PURE_TOPS or bool(re.search(r"\bpure\b", said, re.IGNORECASE))


PURE = sorted(name for name in ALL if says_it_is_pure(name) and name not in PARTLY)


def impurities(source: str) -> set[str]:
    """What a module imports, anywhere in it and in whatever way, that a pure one does without."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "__import__":
            names = [ast.unparse(argument).strip("'\"") for argument in node.args[:1]]
        found |= {name for name in names if name in IMPURE or name.partition(".")[0] in IMPURE}
    return {name.partition(".")[0] for name in found}


@pytest.mark.parametrize("name", PURE)
def test_what_says_it_is_pure_is(name: str) -> None:
    assert impurities(ALL[name]) == set()


@pytest.mark.parametrize(
    "name",
    [
        "repartee.pool.policy",
        "repartee.turn.machine",
        "repartee.turn.endpointing",
        "repartee.relay.machine",
        "repartee.relay.responses",
        "repartee.agent.experience",
        "repartee.agent.fillers",
        "repartee.agent.predictions",
        "repartee.agent.prefetch",
        "repartee_edge.router",
        "repartee_edge.tickets",
        "repartee_edge.placement",
        "repartee_edge.failover",
        "repartee_edge.health",
        "repartee_edge.credentials",
        "repartee_edge.selfhosted.heads",
    ],
)
def test_these_are_looked_at(name: str) -> None:
    """None of them slips away by another word in its docstring."""
    assert name in PURE


@pytest.mark.parametrize("planted", SEVEN)
@pytest.mark.parametrize(
    "way", ["import {}", "import {} as x", "from {} import y", "def f():\n    import {}"]
)
@pytest.mark.parametrize("name", ["repartee.pool.policy", "repartee.turn.machine", "repartee_edge.router"])
def test_a_planted_import_is_found(name: str, way: str, planted: str) -> None:
    assert impurities(f"{ALL[name]}\n{way.format(planted)}\n") == {planted}


@pytest.mark.parametrize("planted", ["import os.path", "from urllib import request", "__import__('time')"])
def test_a_planted_import_is_found_in_whatever_way_it_comes(planted: str) -> None:
    assert len(impurities(planted) - {"urllib"}) + ("urllib" in planted) == 1


def test_one_source_of_ids_is_all_the_randomness_of_the_edge() -> None:
    random = [
        name
        for name in ALL
        if name.startswith("repartee_edge") and {"secrets", "uuid"} & impurities(ALL[name])
    ]
    assert [name for name in random if ".selfhosted." not in name] == ["repartee_edge.identifiers"]


# --- a call's modules --------------------------------------------------------------------------------------------

CALL_MODULES = sorted(name for name in MODULES if part_of(name) in CALL)

STARTS = {
    "create_task",
    "ensure_future",
    "TaskGroup",
    "run_coroutine_threadsafe",
    "to_thread",
    "run_in_executor",
}


def used(source: str) -> Iterator[str]:
    """Each name and attribute that a module uses."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.alias):
            yield node.name


@pytest.mark.parametrize("name", CALL_MODULES)
def test_a_calls_tasks_start_in_the_shell_only(name: str) -> None:
    started = STARTS & set(used(ALL[name]))
    assert started == ({"create_task"} if name == "repartee.session.shell" else set())


GONE = {
    "OSError",
    "ConnectionError",
    "ConnectionResetError",
    "BrokenPipeError",
    "WebSocketDisconnect",
    "ClientGone",
}


@pytest.mark.parametrize("name", CALL_MODULES)
def test_only_the_transport_says_that_the_client_is_gone(name: str) -> None:
    """No other module of a call looks at what a socket raises: its own files and databases raise the same."""
    if part_of(name) != "transport":
        assert GONE & set(used(ALL[name])) == set()


def test_the_transport_does_not_take_every_oserror_for_the_client() -> None:
    for name in CALL_MODULES:
        assert not re.search(r"isinstance\([^)]*OSError|except \(?[^:]*\bOSError", ALL[name]), name


PROTOCOL = {"ABC", "ABCMeta", "abstractmethod", "NotImplementedError"}


@pytest.mark.parametrize("name", sorted(name for name in MODULES if part_of(name) == "session"))
def test_the_session_is_composed_and_not_derived(name: str) -> None:
    """No abstract method, and no class of the session's derives from another that does something."""
    assert PROTOCOL & set(used(ALL[name])) == set()
    bases = {
        ast.unparse(base)
        for node in ast.walk(ast.parse(ALL[name]))
        if isinstance(node, ast.ClassDef)
        for base in node.bases
    }
    assert {base.partition("[")[0] for base in bases} <= {"Protocol", "Generic", "Exception"}


WIRE = {"json", "orjson", "base64", "starlette", "uvicorn", "websockets", "h11", "msgspec.json"}


@pytest.mark.parametrize("name", sorted(name for name in MODULES if part_of(name) == "session"))
def test_the_session_knows_neither_json_nor_asgi(name: str) -> None:
    tree = ast.parse(ALL[name])
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {one for one in imported if one in WIRE or one.partition(".")[0] in WIRE} == set()
    assert "msgspec.json" not in ALL[name]
    words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert not [word for word in words if isinstance(word, str) and word.startswith(("websocket.", "http."))]
    assert not {"AsgiSocket", "AsgiMessage", "WebSocket", "WebSocketLink"} & set(used(ALL[name]))
