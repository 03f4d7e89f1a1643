"""`make` sets itself up: with a Python that can carry what we need, and anew where it was cut off.

In a copy of the project's Makefile, with Pythons that only pretend: each notes what it is asked for.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("python3", "python3.13", "python3.12", "python3.11", "python")
NOTHING = "#!/bin/sh\nexit 127\n"

PYTHON = """#!/bin/sh
# Pretends to be Python {version}; judges a piece of code with the real one.
echo "{name} $*" >>"{log}"
case "$1" in
-c) exec "{real}" -c "import sys; sys.version_info = {version}; {change}
$2" ;;
-m)
    [ "$2" = venv ] || exit 1
    mkdir -p "$3/bin"
    [ "$DIE_AT" != venv ] || kill -KILL 0
    cp "{folder}/in_venv" "$3/bin/python"
    ;;
esac
"""

IN_VENV = """#!/bin/sh
# Pretends to be the virtual environment's Python.
echo "venv $*" >>"{log}"
case "$*" in
*requirements/dev.txt*) [ "$DIE_AT" != dev ] || kill -KILL 0 ;;
*requirements/run.txt*) [ "$DIE_AT" != run ] || kill -KILL 0 ;;
*"-e ."*) [ "$DIE_AT" != editable ] || kill -KILL 0 ;;
esac
[ "$FAIL" != pip ] || case "$*" in *pip\\ install*) exit 1 ;; esac
"""


@dataclass(frozen=True, slots=True)
class Copy:
    """The Makefile and what it needs, in a folder of its own."""

    folder: Path

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def offer(self, name: str, version: tuple[int, int], change: str = "pass") -> None:
        """Put a Python on the PATH."""
        text = PYTHON.format(
            name=name,
            version=(*version, 0, "final", 0),
            change=change,
            log=self.log,
            real=sys.executable,
            folder=self.folder,
        )
        self.write(self.folder / "bin" / name, text)

    def write(self, path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    def make(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        variables = {"PATH": f"{self.folder / 'bin'}:/usr/bin:/bin", "HOME": str(self.folder)}
        return subprocess.run(
            ["make", *(arguments or (".venv/.stamps/dev",))],
            cwd=self.folder,
            env={**variables, "DIE_AT": "", "FAIL": "", **environment},
            capture_output=True,
            text=True,
            timeout=60,
            start_new_session=True,
            check=False,
        )

    def asked(self) -> list[str]:
        """What the Pythons were asked for since the last time, but for questions about themselves."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.write_text("")
        return [
            line
            for line in lines
            if " -c " not in f"{line} " and not line.startswith(("import", "fits", "sys"))
        ]


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    for name in (
        "Makefile",
        "pyproject.toml",
        "requirements/run.txt",
        "requirements/dev.txt",
        "tools/make_venv.sh",
    ):
        target = tmp_path / name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, target)
    (tmp_path / "bin").mkdir()
    made = Copy(tmp_path)
    for name in NAMES:
        made.write(tmp_path / "bin" / name, NOTHING)
    made.write(tmp_path / "in_venv", IN_VENV.format(log=made.log))
    return made


SET_UP = [
    "venv -m pip install --quiet --require-hashes -r requirements/run.txt",
    "venv -m pip install --quiet --no-deps --no-build-isolation -e .",
    "venv -m pip install --quiet --require-hashes -r requirements/dev.txt",
]


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ({"python3": (3, 14), "python3.13": (3, 13)}, "python3.13"),
        ({"python3": (3, 14), "python3.12": (3, 12), "python3.11": (3, 11)}, "python3.12"),
        ({"python3": (3, 10), "python3.11": (3, 11)}, "python3.11"),
        ({"python3": (3, 12), "python3.13": (3, 13)}, "python3"),
        ({"python3": (3, 15), "python": (3, 13)}, "python"),
    ],
)
def test_the_first_python_that_fits_is_taken(
    copy: Copy, offered: dict[str, tuple[int, int]], chosen: str
) -> None:
    for name, version in offered.items():
        copy.offer(name, version)
    made = copy.make()
    assert made.returncode == 0, made.stderr
    assert copy.asked() == [f"{chosen} -m venv .venv", *SET_UP]


@pytest.mark.parametrize(
    ("version", "change"),
    [
        ((3, 14), "pass"),
        ((3, 10), "pass"),
        ((3, 13), "import sysconfig; sysconfig.get_config_var = lambda name: 1"),
        ((3, 12), "sys.modules['ensurepip'] = None"),
        ((3, 11), "sys.implementation.name = 'pypy'"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line_with_what_to_do(
    copy: Copy, version: tuple[int, int], change: str
) -> None:
    copy.offer("python3", version, change)
    made = copy.make()
    assert made.returncode != 0
    [line] = [line for line in made.stderr.splitlines() if not line.startswith("make")]
    assert "3.11, 3.12 or 3.13" in line and "make demo PYTHON=" in line
    assert copy.asked() == []
    assert not (copy.folder / ".venv").exists()


def test_a_python_that_was_named_is_the_only_one_asked(copy: Copy) -> None:
    copy.offer("python3", (3, 12))
    copy.offer("python3.14", (3, 14))
    assert copy.make(".venv/.stamps/dev", "PYTHON=python3.14").returncode != 0
    copy.offer("mine", (3, 11))
    assert copy.make(".venv/.stamps/dev", "PYTHON=mine").returncode == 0
    assert copy.asked()[0] == "mine -m venv .venv"


@pytest.mark.parametrize("point", ["venv", "run", "editable", "dev"])
def test_a_set_up_that_was_cut_off_is_begun_anew(copy: Copy, point: str) -> None:
    copy.offer("python3", (3, 12))
    assert copy.make(DIE_AT=point).returncode < 0
    copy.asked()
    assert copy.make().returncode == 0
    assert copy.asked() == ["python3 -m venv .venv", *SET_UP]
    assert copy.make().returncode == 0
    assert copy.asked() == [], "and once it is complete it is left alone"


def test_an_installation_that_failed_is_begun_anew(copy: Copy) -> None:
    copy.offer("python3", (3, 12))
    assert copy.make(FAIL="pip").returncode > 0
    copy.asked()
    assert copy.make().returncode == 0
    assert copy.asked() == ["python3 -m venv .venv", *SET_UP]


def test_an_environment_whose_python_is_gone_is_made_anew(copy: Copy) -> None:
    copy.offer("python3", (3, 12))
    copy.make()
    python = copy.folder / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to(copy.folder / "python3.9")
    copy.asked()
    assert copy.make().returncode == 0
    assert copy.asked() == ["python3 -m venv .venv", *SET_UP]


def test_a_folder_with_nothing_of_use_in_it_is_made_anew(copy: Copy) -> None:
    copy.offer("python3", (3, 12))
    (copy.folder / ".venv" / "bin").mkdir(parents=True)
    copy.write(copy.folder / ".venv" / "bin" / "python", NOTHING)
    assert copy.make().returncode == 0
    assert copy.asked() == ["python3 -m venv .venv", *SET_UP]


def test_an_environment_that_an_older_makefile_finished_is_kept(copy: Copy) -> None:
    copy.offer("python3", (3, 12))
    copy.make()
    (copy.folder / ".venv" / ".stamps" / "venv").unlink()
    copy.asked()
    assert copy.make().returncode == 0
    assert copy.asked() == []


def test_requirements_that_changed_are_installed_into_what_is_there(copy: Copy) -> None:
    copy.offer("python3", (3, 12))
    copy.make()
    later = (copy.folder / ".venv" / ".stamps" / "dev").stat().st_mtime + 5
    os.utime(copy.folder / "requirements" / "run.txt", (later, later))
    copy.asked()
    assert copy.make().returncode == 0
    assert copy.asked() == SET_UP


def test_skipped_tests_show_their_reasons() -> None:
    text = (ROOT / "Makefile").read_text()
    recipe = text.partition("\ntest: ")[2].partition("\n\n")[0]
    assert " -rs " in recipe
