"""The clients' environment is their own, and what cannot be made of it is left out with a line that says why."""

import hashlib
import importlib.util
from pathlib import Path

import pytest
from tests.clients import environment


def digest(part: str) -> str:
    return hashlib.sha256(environment.ASKED_FOR[part].read_bytes()).hexdigest()


def test_the_projects_own_environment_lacks_them() -> None:
    assert [name for name in ("agents", "livekit", "pipecat") if importlib.util.find_spec(name)] == []


def test_without_npm_the_node_part_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REPARTEE_CLIENTS", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "python.installed").write_text(digest("python"))
    environment.main()
    said = capsys.readouterr().out.splitlines()
    assert said[1:] == ["The clients of package.json are left out: npm is missing"]
    assert environment.has("python")
    assert not environment.has("node_modules")


def test_what_was_made_for_an_older_list_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPARTEE_CLIENTS", str(tmp_path))
    (tmp_path / "python.installed").write_text("another digest")
    assert not environment.has("python")


def test_without_a_folder_it_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REPARTEE_CLIENTS", raising=False)
    with pytest.raises(SystemExit, match="make test-clients"):
        environment.main()
