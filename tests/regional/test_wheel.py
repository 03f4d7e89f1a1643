"""What a wheel of the package brings, and what its extras are."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from repartee.cli.main import BENCH_NEEDS, main

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The files of a wheel built here, without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        return files.namelist()


def test_its_top_level_is_the_projects_own_names(names: list[str]) -> None:
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"repartee", "repartee_edge"}


def test_it_runs_a_whole_system(names: list[str]) -> None:
    """Stand-ins with their data, the browser page and the dashboard."""
    needed = ("server.py", "profiles/budget.json", "scripts/front-desk.json")
    assert {f"repartee/standins/{name}" for name in needed} <= set(names)
    assert any(name.startswith("repartee/app/page/") for name in names)
    shown = ("index.html", "main.js", "uplot.js", "uplot.css", "uplot-license.txt")
    assert {f"repartee/app/dashboard/{name}" for name in shown} <= set(names)
    assert "repartee/py.typed" in names


def extra(name: str) -> set[str]:
    """The packages of an extra, as they are imported, with those of the project's extras that it takes in."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    found: set[str] = set()
    for requirement in extras[name]:
        if requirement.startswith("repartee["):
            found |= {each for inner in requirement[9:-1].split(",") for each in extra(inner)}
        else:
            found.add(requirement.split(">=")[0].replace("-", "_"))
    return found


def test_the_extra_brings_what_the_benchmarks_need() -> None:
    assert extra("bench") - extra("regional") - extra("webrtc") == set(BENCH_NEEDS)


@pytest.mark.parametrize("missing", BENCH_NEEDS)
@pytest.mark.parametrize("words", [["bench"], ["bench", "latency"], ["bench", "routing", "--help"]])
def test_without_the_extra_the_benchmarks_say_what_to_install(
    missing: str, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.setattr(sys, "argv", ["repartee", *words])
    with pytest.raises(SystemExit, match="1"):
        main()
    told = capsys.readouterr().err
    assert (
        told
        == f"error `repartee bench` needs {missing}: install the extra with `pip install 'repartee[bench]'`.\n"
    )


def test_other_commands_need_no_extra_for_benchmarks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in BENCH_NEEDS:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(sys, "argv", ["repartee", "route", "--colo", "NRT", "--country", "JP"])
    with pytest.raises(SystemExit, match="0"):
        main()
    assert "us-east" in capsys.readouterr().out
