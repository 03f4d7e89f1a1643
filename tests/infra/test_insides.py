"""Parts of libraries that these do not document are used behind one guard each, and nowhere else."""

import ast
import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from repartee.standins import uvicorn_insides as standins_insides
from repartee_edge.selfhosted import uvicorn_insides

ROOT = Path(__file__).parents[2]

GUARDS = {
    "uvicorn": {
        "edge/repartee_edge/selfhosted/uvicorn_insides.py",
        "regional/repartee/standins/uvicorn_insides.py",  # the far end of the wire shares no code with the near one
    },
    "websockets": {"regional/repartee/providers/websockets_insides.py"},
    "httpx2": set[str](),
    "jwt": {"edge/repartee_edge/lean_jwt.py"},
}
"""The module that may reach into a library."""

DOCUMENTED = {
    "uvicorn": {"uvicorn"},
    "websockets": {
        "websockets",
        "websockets.asyncio.client",
        "websockets.asyncio.server",
        "websockets.client",
        "websockets.exceptions",
        "websockets.frames",
        "websockets.http11",
        "websockets.protocol",
        "websockets.server",
        "websockets.uri",
    },
    "httpx2": {"httpx2"},
    "jwt": {"jwt"},
}
"""The modules that each library's reference names."""

BASES_FOR_USERS = {"AsyncBaseTransport", "AsyncByteStream"}
"""Classes that their library documents as made to be inherited from."""

SERVER_INSIDES = {
    "capture_signals",
    "force_exit",
    "handle_exit",
    "http_protocol_class",
    "loaded_app",
    "main_loop",
    "on_tick",
    "server_state",
    "ws_protocol_class",
}
"""What a uvicorn server or its configuration is made of, by names that no documentation has."""


def sources() -> Iterator[tuple[str, ast.Module]]:
    for folder in ("regional", "edge", "infra"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "python_modules" not in path.parts:
                yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


LOGGERS = {"uvicorn.access", "uvicorn.error", "websockets.server", "websockets.client"}


def used_of(library: str, tree: ast.Module) -> Iterator[str]:
    """What a file uses of a library that the library does not document."""
    nodes = list(ast.walk(tree))
    names: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == library:
            names |= {alias.asname or alias.name: alias.name for alias in node.names}
            yield from imported_from(library, node)
        elif isinstance(node, ast.Import):
            taken = [alias for alias in node.names if alias.name.split(".")[0] == library]
            names |= {alias.asname or library: library for alias in taken}
            yield from (f"module {alias.name}" for alias in taken if alias.name not in DOCUMENTED[library])
    for node in nodes:
        match node:
            case ast.Constant(value=str(text)) if re.fullmatch(rf"{library}(\.\w+)+(:\w+)?", text):
                if text not in LOGGERS:
                    yield f"name {text!r}"
            case ast.ClassDef():
                yield from (f"class {node.name}({base})" for base in bases_of(node, names))
            case ast.Attribute(value=ast.Name(id=name)) if names.get(name) == library:
                if node.attr not in [*importlib.import_module(library).__all__, "__version__"]:
                    yield f"{library}.{node.attr}"


def imported_from(library: str, node: ast.ImportFrom) -> Iterator[str]:
    if node.module not in DOCUMENTED[library]:
        yield f"module {node.module}"
    public = importlib.import_module(library).__all__ if node.module == library else None
    for alias in node.names:
        if alias.name.startswith("_") or (public is not None and alias.name not in public):
            yield f"{node.module}.{alias.name}"


def bases_of(node: ast.ClassDef, names: dict[str, str]) -> Iterator[str]:
    """The library's classes that a class inherits from although they are not made for that."""
    for base in map(ast.unparse, node.bases):
        if base.split(".")[0] in names and base.split(".")[-1] not in BASES_FOR_USERS:
            yield base


def found(library: str) -> dict[str, list[str]]:
    uses = {}
    for name, tree in sources():
        used = list(used_of(library, tree))
        if library == "uvicorn" and name not in GUARDS["uvicorn"]:
            used += [
                f"attribute {node.attr}"
                for node in ast.walk(tree)
                if isinstance(node, ast.Attribute) and node.attr in SERVER_INSIDES
            ]
        if used:
            uses[name] = used
    return uses


@pytest.mark.parametrize("library", ["websockets", "httpx2", "jwt"])
def test_only_its_guard_reaches_into_a_library(library: str) -> None:
    assert set(found(library)) == GUARDS[library], found(library)


def test_only_its_guard_reaches_into_uvicorn() -> None:
    assert set(found("uvicorn")) == GUARDS["uvicorn"], found("uvicorn")


INHERITING = [
    ("edge/repartee_edge/selfhosted/front_door.py", "FrontDoor", uvicorn_insides.HTTP_CONNECTION),
    ("regional/repartee/app/client_socket.py", "ClientSocket", uvicorn_insides.WEBSOCKET_CONNECTION),
    ("regional/repartee/standins/link.py", "DirectWebSocket", standins_insides.WEBSOCKET),
]


@pytest.mark.parametrize(("file", "name", "checked"), INHERITING)
def test_the_guard_checks_all_that_is_inherited(file: str, name: str, checked: set[str]) -> None:
    """What a class takes from uvicorn's, by ``self`` or ``super()``, is what the guard looks for."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    [made] = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name]
    own = {each.name for each in made.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
    own |= {each.id for node in made.body for each in ast.walk(node) if isinstance(each, ast.Name)}
    taken = [node for node in ast.walk(made) if isinstance(node, ast.Attribute)]
    through_self = {node.attr for node in taken if ast.unparse(node.value) == "self"}
    through_super = {node.attr for node in taken if ast.unparse(node.value) == "super()"}
    set_here = {node.attr for node in taken if isinstance(node.ctx, ast.Store)} & through_self
    private = {each for each in set_here if each.startswith("_")}
    inherited = (through_self - own - private) | (through_super - {"__init__"})
    assert inherited - checked == set()
    assert {each for each in checked - inherited if each not in own} == set(), "checked, but not used"


def test_a_version_that_is_relied_on_is_capped() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = [*project["dependencies"], *project["optional-dependencies"]["regional"]]
    bounds = {re.split(r"[\[<>=]", line)[0].lower(): line for line in listed}
    capped = {"uvicorn", "websockets", "httpx2", "pyjwt", "h11", "httptools"}
    capped |= {"openai", "deepgram-sdk", "cartesia", "elevenlabs"}
    assert {name for name in capped if "<" not in bounds[name]} == set()
    assert (
        bounds["uvicorn"] == "uvicorn>=0.54,<0.55"
    )  # before 1.0 any of its releases may change what is inside
    assert bounds["websockets"] == "websockets>=15,<16"
