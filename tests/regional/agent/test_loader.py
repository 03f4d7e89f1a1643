"""Finding the user's agent, and what is said when it is not there or fails."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from repartee.agent.loader import load, load_others
from repartee.errors import ConfigurationError

GOOD = 'from repartee import Agent\nagent = Agent("You are helpful.")\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in; what is imported from it is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def refusal(spec: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load(spec)
    return str(refused.value)


@pytest.mark.parametrize("spec", ["desk", "desk:agent", "desk.py", "desk.py:agent", "./desk.py:agent"])
def test_a_module_or_a_file_with_or_without_a_name(folder: Path, spec: str) -> None:
    write(folder / "desk.py", GOOD)
    assert load(spec).instructions == "You are helpful."


def test_a_module_in_a_package_and_an_absolute_path(folder: Path) -> None:
    write(folder / "shop" / "desk.py", GOOD.replace("agent =", "front ="))
    assert load("shop.desk:front")
    assert load(f"{folder}/shop/desk.py:front")


def test_a_file_may_import_its_neighbours(folder: Path) -> None:
    write(folder / "shop" / "words_of_ours.py", 'TEXT = "From next door."\n')
    write(
        folder / "shop" / "desk.py",
        "from repartee import Agent\nfrom words_of_ours import TEXT\nagent = Agent(TEXT)\n",
    )
    assert load("shop/desk.py").instructions == "From next door."


@pytest.mark.parametrize("spec", ["desk:agent", "desk.py:agent"])
def test_an_edited_file_is_read_again_when_fresh(folder: Path, spec: str) -> None:
    path = write(folder / "desk.py", GOOD)
    old = load(spec)
    path.write_text(GOOD.replace("helpful", "brief and helpful"))
    assert load(spec, fresh=True).instructions == "You are brief and helpful."
    assert old.instructions == "You are helpful."


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("nowhere:agent", "There is no module 'nowhere'"),
        ("shop.nowhere:agent", "There is no module 'shop.nowhere'"),
        ("nowhere.py:agent", "There is no file"),
        ("desk:other", "desk has no 'other'. It has an Agent named 'agent': write desk:agent."),
        ("desk:NUMBER", "desk:NUMBER is not an Agent, but a int."),
        ("desk:", "does not name an agent. Write module:name"),
        ("", "does not name an agent"),
        ("desk:a.b", "does not name an agent"),
    ],
)
def test_what_cannot_be_found_is_told(folder: Path, spec: str, said: str) -> None:
    write(folder / "desk.py", GOOD + "NUMBER = 1\n")
    write(folder / "shop" / "__init__.py", "")
    assert said in refusal(spec)


@pytest.mark.parametrize("spec", ["broken:agent", "broken.py:agent"])
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("agent = Agent(1 / 0)", "broken.py:3: ZeroDivisionError: division by zero"),
        ("import not_installed_at_all", "broken.py:3: ModuleNotFoundError: No module named 'not_inst"),
        ("agent = Agent(", "broken.py:3: '(' was never closed."),
        ("agent = Agent()", "broken.py:3: TypeError: Agent.__init__() missing 1 required"),
        ("raise SystemExit('gone')", "broken.py:3: SystemExit: gone"),
        ("import json; json.loads('{')", "broken.py:3: JSONDecodeError"),
    ],
)
def test_a_fault_in_the_users_file_is_told_with_its_line(
    folder: Path, spec: str, line: str, said: str
) -> None:
    write(folder / "broken.py", f"from repartee import Agent\n\n{line}\n")
    assert refusal(spec).startswith(said)


def test_a_bad_agent_is_refused_with_every_line(folder: Path) -> None:
    write(
        folder / "bad.py",
        GOOD
        + "\n@agent.tool\nasync def one(day):\n    '''One.'''\n"
        + "\n@agent.tool\ndef two(day: str):\n    '''Two.'''\n",
    )
    said = refusal("bad.py")
    assert said.splitlines()[0] == "The agent has 2 faults:"
    assert "bad.py:4: tool 'one': parameter 'day' has no type" in said
    assert "bad.py:8: tool 'two' is not an async function" in said


def test_a_dict_of_agents_is_served_by_names_and_its_first_to_all_others(tmp_path: Path) -> None:
    file = tmp_path / "several.py"
    file.write_text(
        "from repartee import Agent\n"
        "bank, clinic = Agent(instructions='A bank.'), Agent(instructions='A clinic.')\n"
        "agents = {'bank': bank, 'clinic': clinic}\nwrong = {'bank': bank, 'other': 1}\n"
    )
    assert load(f"{file}:agents").instructions == "A bank."
    assert set(load_others(f"{file}:agents")) == {"bank", "clinic"}
    assert load_others(f"{file}:bank") == {}
    with pytest.raises(ConfigurationError, match="'other'"):
        load_others(f"{file}:wrong")
