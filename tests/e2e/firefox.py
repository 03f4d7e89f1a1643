"""Firefox, driven by WebDriver BiDi over its own socket: no other program is needed."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.promptness import DEADLINE_S
from websockets.sync.client import connect
from websockets.sync.connection import Connection

FIREFOXES = ("firefox-esr", "firefox")
PREFERENCES = {
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
}


class Firefox:
    """One page of it."""

    def __init__(self, socket: Connection) -> None:
        self._socket = socket
        self._number = 0
        self._command("session.new", capabilities={})
        tree = self._command("browsingContext.getTree")
        self._context = tree["contexts"][0]["context"]

    def goto(self, url: str) -> None:
        self._command("browsingContext.navigate", context=self._context, url=url, wait="complete")

    def evaluate(self, function: str, argument: Any = None) -> Any:
        """What a (possibly async) function gives for a JSON value."""
        called = self._command(
            "script.callFunction",
            functionDeclaration=f"async (said) => JSON.stringify(await ({function})(JSON.parse(said)) ?? null)",
            arguments=[{"type": "string", "value": json.dumps(argument)}],
            target={"context": self._context},
            awaitPromise=True,
            userActivation=True,
        )
        assert called["type"] == "success", called["exceptionDetails"]["text"]
        return json.loads(called["result"]["value"])

    def _command(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=2 * DEADLINE_S))
            if answer.get("id") == self._number:
                assert answer["type"] == "success", answer
                result: dict[str, Any] = answer["result"]
                return result


def firefox_executable() -> str:
    """The system's; skips the test where there is none."""
    for name in FIREFOXES:
        if path := shutil.which(name):
            return path
    pytest.skip("Firefox is missing: apt-get install firefox-esr")


@contextmanager
def firefox() -> Iterator[Firefox]:
    """A headless one with a profile of its own."""
    program = firefox_executable()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        lines = [
            f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items()
        ]
        (Path(profile) / "user.js").write_text("\n".join(lines))
        process = subprocess.Popen(
            [program, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0"],
            env={"HOME": profile, "PATH": "/usr/bin:/bin", "MOZ_DISABLE_CONTENT_SANDBOX": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            with connect(f"{_address(process)}/session", max_size=None, open_timeout=DEADLINE_S) as socket:
                yield Firefox(socket)
        finally:
            process.kill()
            process.communicate(timeout=DEADLINE_S)


def _address(process: "subprocess.Popen[str]") -> str:
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        if found := re.search(r"WebDriver BiDi listening on (ws://\S+)", line):
            return found[1]
        said.append(line)
    raise AssertionError("Firefox ended: " + "".join(said))
