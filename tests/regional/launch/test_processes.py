"""Several processes as one system: ready together, ended together, nothing left behind."""

import asyncio
import os
import signal
import socket
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.promptness import DEADLINE_S

from repartee.launch.processes import Part, PartFailed, running

PART = """
import http.server, os, signal, socket, subprocess, sys
from repartee.launch.tied import tie
tie(int(sys.argv[1]))
port, what = int(sys.argv[2]), sys.argv[3]
if what == "child":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print("child", child.pid, flush=True)
if what == "leans":
    def leave(*args):
        with socket.create_connection(("127.0.0.1", int(sys.argv[4]))):
            print("it is still there", flush=True)
        os._exit(0)
    signal.signal(signal.SIGTERM, leave)
if what == "fall":
    sys.exit("the key is missing")
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/stop":
            os._exit(3)
        self.send_response(200)
        self.end_headers()
    def log_message(self, *args):
        pass
http.server.HTTPServer(("127.0.0.1", port), Ready).serve_forever()
"""


@pytest.fixture
def launcher(tmp_path: Path) -> list[str]:
    script = tmp_path / "part.py"
    script.write_text(PART)
    return [sys.executable, str(script)]


def part(name: str, port: int, what: str = "serve") -> Part:
    return Part(name, [str(port), what], port)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def eventually(true: Callable[[], bool], within_s: float = 10.0) -> bool:
    async with asyncio.timeout(within_s):
        while not true():  # noqa: ASYNC110 -- another process's end brings no event to wait for
            await asyncio.sleep(0.02)
    return True


async def test_parts_are_ready_inside_the_block_and_gone_after_it(
    launcher: list[str], unused_tcp_port_factory: Callable[[], int]
) -> None:
    lines: list[tuple[str, str]] = []
    one, two = (part(name, unused_tcp_port_factory(), "child") for name in ("one", "two"))
    async with running([[one], [two]], lambda *line: lines.append(line), launcher) as parts:
        pids = [parts.pid("one"), parts.pid("two")]
        for each in (one, two):
            _, writer = await asyncio.open_connection("127.0.0.1", each.port)
            writer.close()
        pids += [int(text.split()[1]) for _, text in lines]
        assert len(pids) == 4 and all(alive(pid) for pid in pids)
    assert await eventually(lambda: not any(alive(pid) for pid in pids))


async def test_what_a_part_depends_on_is_there_until_it_has_ended(
    launcher: list[str], unused_tcp_port_factory: Callable[[], int]
) -> None:
    below, above = unused_tcp_port_factory(), unused_tcp_port_factory()
    said: list[tuple[str, str]] = []
    stages = [[part("below", below)], [Part("above", [str(above), "leans", str(below)], above)]]
    async with running(stages, lambda name, line: said.append((name, line)), launcher):
        pass
    assert said == [("above", "it is still there")]


async def test_a_part_that_does_not_start_is_named_with_its_last_words(
    launcher: list[str], unused_tcp_port_factory: Callable[[], int]
) -> None:
    good, bad = part("good", unused_tcp_port_factory()), part("bad one", unused_tcp_port_factory(), "fall")
    with pytest.raises(PartFailed, match=r"The bad one stopped with exit status 1.*\n  the key is missing"):
        async with running([[good, bad]], launcher=launcher):
            pass


async def test_a_part_that_falls_later_is_noticed(
    launcher: list[str], unused_tcp_port_factory: Callable[[], int]
) -> None:
    one, two = part("one", unused_tcp_port_factory()), part("two", unused_tcp_port_factory())
    async with running([[one, two]], launcher=launcher) as parts:
        os.kill(parts.pid("two"), signal.SIGKILL)
        fault = await asyncio.wait_for(parts.first_to_fall(), DEADLINE_S)
    assert str(fault).startswith("The two was ended by signal 9.")


async def test_a_taken_port_is_told_before_anything_starts(launcher: list[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PartFailed, match=rf"port is taken: {port} \(edge\).*--port"):
            async with running([[part("edge", port)]], launcher=launcher):
                pass


async def test_parts_end_when_their_starter_is_killed(
    launcher: list[str], unused_tcp_port_factory: Callable[[], int]
) -> None:
    port = unused_tcp_port_factory()
    starter = textwrap.dedent(f"""
        import asyncio
        from repartee.launch.processes import Part, running
        async def main():
            part = Part("one", ["{port}", "child"], {port})
            async with running([[part]], print, {launcher!r}) as parts:
                print("part", parts.pid("one"), flush=True)
                await asyncio.sleep(60)
        asyncio.run(main())
    """)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", starter, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    pids = [int((await process.stdout.readline()).split()[-1]) for _ in range(2)]
    assert all(alive(pid) for pid in pids)
    process.kill()
    await process.wait()
    assert await eventually(lambda: not any(alive(pid) for pid in pids))
