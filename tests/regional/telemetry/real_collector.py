"""A collector that others wrote (rotel): takes OTLP, and sends what it made of it on to one of the tests' own."""

import importlib.util
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.promptness import DEADLINE_S
from tests.regional.telemetry.collector import Collector

STANDARD_PORT = 4318


def program() -> Path:
    """The collector's; skips the test where there is none."""
    found = importlib.util.find_spec("rotel")
    if found is None or found.origin is None:
        pytest.skip(
            "rotel, a collector, is not installed (requirements/collector.txt): it was sent no traces"
        )
    return Path(found.origin).with_name("rotel-agent")


@contextmanager
def real_collector(sink: Collector, folder: Path) -> Iterator[tuple[str, Path]]:
    """One that runs: its OTLP address, and its log. What it has taken arrives at ``sink``."""
    port, log = _free(STANDARD_PORT), folder / "collector.log"
    command: list[str | Path] = [program(), "start", "--debug-log", "traces"]
    command += ["--pid-file", folder / "pid", "--log-file", folder / "unused"]
    command += ["--otlp-http-endpoint", f"127.0.0.1:{port}", "--otlp-grpc-endpoint", f"127.0.0.1:{_free()}"]
    command += ["--exporter", "otlp", "--otlp-exporter-protocol", "http"]
    command += ["--otlp-exporter-endpoint", sink.url]
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            _until_it_answers(process, port, log)
            yield f"http://127.0.0.1:{port}", log
        finally:
            process.terminate()
            process.wait(DEADLINE_S)


def _free(wanted: int = 0) -> int:
    """A port that nobody has: this one, if it is one of them."""
    for port in (wanted, 0):
        try:
            with socket.create_server(("127.0.0.1", port)) as free:
                return int(free.getsockname()[1])
        except OSError:
            continue
    raise AssertionError("no port is free")


def _until_it_answers(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), DEADLINE_S).close()
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
