"""One word a thing: docs/architecture.md lists the words, and those that are not used for the same thing."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
FOLDERS = ("regional", "edge", "infra")

LIBRARIES_OWN = {
    "config": {
        "edge/repartee_edge/selfhosted/server.py",  # uvicorn.Config
        "edge/repartee_edge/selfhosted/tunnel.py",
        "edge/repartee_edge/selfhosted/uvicorn_insides.py",
        "infra/peers/pipecat_agent.py",
        "regional/repartee/agent/signature.py",  # pydantic's ConfigDict
        "regional/repartee/app/server.py",
        "regional/repartee/app/settings.py",
        "regional/repartee/cli/edge.py",
    }
}
"""Where a rejected word is the name that a library has for a thing of its own."""


def rejected(row: str) -> set[str]:
    """The words that a row of the page's table rejects."""
    _, table = PAGE.read_text(encoding="utf-8").split("## Words\n", 1)
    [cells] = [line.split("|") for line in table.splitlines() if line.startswith(f"| **{row}")]
    return set(re.findall(r"`(\w+)`", cells[3]))


EVERYWHERE = rejected("STT") | rejected("LLM") | rejected("TTS") | rejected("settings")
IN_TITLES = EVERYWHERE | rejected("ledger")
"""What no module and no class is called."""

FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("*.py")
    if not {"python_modules", "node_modules"} & {*path.parts}
)


def parts(name: str) -> set[str]:
    """The words of a name: ``FluxSTT`` and ``flux_stt`` have two."""
    return {part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def titles(name: str, tree: ast.Module) -> Iterator[str]:
    yield from Path(name).with_suffix("").parts
    yield from (node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


def names(tree: ast.Module) -> Iterator[str]:
    """What a module gives a name: functions, arguments, variables and attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.arg(arg=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name


def docstrings(tree: ast.Module) -> Iterator[str]:
    """Those of attributes too."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            yield node.value.value


def tree_of(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(encoding="utf-8"))


def test_the_page_rejects_words() -> None:
    assert {"ears", "brain", "voice", "config"} <= EVERYWHERE
    assert {"books", "doings", "news", "told"} <= IN_TITLES - EVERYWHERE


@pytest.mark.parametrize("name", FILES)
def test_no_name_has_a_rejected_word(name: str) -> None:
    tree = tree_of(name)
    allowed = {word for word, files in LIBRARIES_OWN.items() if name in files}
    assert [title for title in titles(name, tree) if parts(title) & (IN_TITLES - allowed - {"voice"})] == []
    assert [given for given in names(tree) if parts(given) & (EVERYWHERE - allowed - {"voice"})] == []


PROVIDER = re.compile(r"\b(STT|LLM|TTS)\b|\w(STT|LLM|TTS)\b")


@pytest.mark.parametrize("name", FILES)
def test_a_voice_is_what_a_caller_hears_and_not_what_speaks(name: str) -> None:
    """A voice has an id and a sound; a provider is never called one."""
    for node in ast.walk(tree_of(name)):
        match node:
            case ast.arg(arg=given, annotation=ast.expr() as kind):
                assert not (PROVIDER.search(ast.unparse(kind)) and "voice" in parts(given)), given
            case ast.AnnAssign(target=target, annotation=kind):
                is_voice = "voice" in parts(ast.unparse(target))
                assert not (PROVIDER.search(ast.unparse(kind)) and is_voice), ast.unparse(target)
            case ast.ClassDef(name=given):
                takes_part = {"speak", "start", "acquire"} & {getattr(one, "name", "") for one in node.body}
                assert not (given.endswith("Voice") and takes_part), given


@pytest.mark.parametrize("name", FILES)
def test_what_implements_a_transport_is_called_one(name: str) -> None:
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.ClassDef) and re.search(
            r"Implements\s+:class:`~repartee\.transport\.interfaces\.(Realtime)?Transport`",
            ast.get_docstring(node) or "",
        ):
            assert node.name.endswith("Transport"), node.name


PROSE = EVERYWHERE - {"voice"}


def said(text: str) -> list[str]:
    """The rejected words of a text, but for what stands between backticks."""
    plain = re.sub(r"```.*?```|``.*?``|`[^`]*`", "", text, flags=re.DOTALL)
    return [word for word in re.findall(r"[a-z]+", plain.lower()) if word in PROSE]


def pages() -> list[str]:
    command = ["git", "ls-files", "-z", "README.md", "CONTRIBUTING.md", "docs"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name.endswith(".md")]


@pytest.mark.parametrize("name", pages())
def test_no_page_says_a_rejected_word(name: str) -> None:
    assert said((ROOT / name).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("name", FILES)
def test_no_docstring_says_a_rejected_word(name: str) -> None:
    assert [text for text in docstrings(tree_of(name)) if said(text)] == []


@pytest.mark.parametrize(
    ("name", "words"),
    [("FluxEars", {"flux", "ears"}), ("_own_brain", {"own", "brain"}), ("STTConfig", {"stt", "config"})],
)
def test_a_name_is_read_by_its_words(name: str, words: set[str]) -> None:
    assert parts(name) == words
