"""The peer's environment: installed to its end or not used, and nothing of the user's is touched.

The peer is a package of two files here, which pip installs from the disk.
"""

import io
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from repartee.bench import peer_environment
from repartee.bench.peer_environment import (
    INSTALLED,
    UNFINISHED,
    PeerMissing,
    cache_folder,
    install_into,
    installed,
)

AGENT = "import pipecat\n"
QUIET = Console(quiet=True)
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def peers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like infra/peers, of another peer."""
    folder = tmp_path / "peers"
    folder.mkdir()
    wheel = folder / "pipecat_ai-9.8.7-py3-none-any.whl"
    about = "pipecat_ai-9.8.7.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("pipecat.py", "")
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: pipecat-ai\nVersion: 9.8.7\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    (folder / "pipecat.txt").write_text(f"{wheel}\n")
    (folder / "pipecat_agent.py").write_text(AGENT)
    monkeypatch.setattr(peer_environment, "PEERS", folder)
    return folder


def on_pip(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    """Let something happen when pip is about to start."""
    real: Run = subprocess.run

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        if "pip" in command:
            happens()
        return real(command, **options)

    monkeypatch.setattr(subprocess, "run", run)


def test_an_installation_is_told_step_by_step_and_can_be_used(peers: Path, tmp_path: Path) -> None:
    folder, told = tmp_path / "new" / "env", io.StringIO()
    install_into(folder, Console(file=told, width=200))

    lines = told.getvalue().splitlines()
    assert [line[:3] for line in lines[:3]] == ["1/3", "2/3", "3/3"]
    assert lines[3:] == ["Pipecat 9.8.7 is installed."]
    peer = installed(folder)
    assert peer.name == "Pipecat 9.8.7"
    assert peer.launcher == (str(folder / "bin" / "python"), str(peers / "pipecat_agent.py"))
    assert peer.command(4711) == ["4711"]
    assert subprocess.run(peer.launcher, check=False).returncode == 0

    (peers / "pipecat.txt").write_text("something-newer\n")
    with pytest.raises(PeerMissing, match=r"is not what .*pipecat.txt asks for. Run .*--install"):
        installed(folder)


def test_one_that_was_broken_off_is_not_used_and_begun_anew(
    peers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "env"

    def broken_off() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        on_pip(patch, broken_off)
        with pytest.raises(KeyboardInterrupt):
            install_into(folder, QUIET)
    with pytest.raises(PeerMissing, match="was broken off"):
        installed(folder)

    half = folder / "lib" / "half-a-package"
    half.mkdir(parents=True, exist_ok=True)
    install_into(folder, QUIET)
    assert installed(folder).name == "Pipecat 9.8.7"
    assert not half.exists()


def test_one_that_cannot_be_had_is_told_with_pips_words_and_not_used(peers: Path, tmp_path: Path) -> None:
    (peers / "pipecat.txt").write_text(str(tmp_path / "nowhere-1.0-py3-none-any.whl"))
    with pytest.raises(PeerMissing, match=r"(?s)package index.*nowhere-1.0-py3-none-any.whl"):
        install_into(tmp_path / "env", QUIET)
    with pytest.raises(PeerMissing, match="was broken off"):
        installed(tmp_path / "env")


def test_an_agent_that_cannot_be_loaded_is_not_used(peers: Path, tmp_path: Path) -> None:
    (peers / "pipecat_agent.py").write_text("import pipecat_that_was\n")
    with pytest.raises(PeerMissing, match=r"(?s)If Pipecat has changed.*No module named 'pipecat_that_was'"):
        install_into(tmp_path / "env", QUIET)
    assert (tmp_path / "env" / UNFINISHED).exists()
    assert not (tmp_path / "env" / INSTALLED).exists()


def test_a_folder_of_the_users_is_left_alone(peers: Path, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(PeerMissing, match="holds something else: choose an empty --folder"):
        install_into(folder, QUIET)
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]

    with pytest.raises(PeerMissing, match="could not be installed in"):
        install_into(folder / "thesis.txt", QUIET)


def test_a_peer_that_is_not_installed_is_asked_for(peers: Path, tmp_path: Path) -> None:
    with pytest.raises(PeerMissing, match="repartee bench peers --install --folder"):
        installed(tmp_path)


def test_without_a_source_checkout_there_is_no_peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_environment, "PEERS", tmp_path / "nowhere")
    with pytest.raises(PeerMissing, match="source checkout"):
        install_into(tmp_path / "env", QUIET)
    assert not (tmp_path / "env").exists()


def test_the_environment_is_kept_in_the_users_cache() -> None:
    assert cache_folder({"XDG_CACHE_HOME": "/c"}) == Path("/c/repartee/peers/pipecat")
