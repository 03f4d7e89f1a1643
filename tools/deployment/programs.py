"""Running terraform, aws, docker, wrangler and our own commands. What fails stops the deployment with a sentence."""

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


class StoppedError(Exception):
    """The deployment can't go on; the message says why and what to do. What was made so far stays."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a program ended."""

    status: int
    out: str
    err: str

    @property
    def last_words(self) -> str:
        """The last line that it said, for a sentence about its failure."""
        lines = (self.err.strip() or self.out.strip()).splitlines()
        return lines[-1].strip() if lines else "nothing"


@dataclass(frozen=True, slots=True)
class Programs:
    """Runs programs in the repository's folder, with one environment."""

    root: Path
    env: Mapping[str, str]

    def ask(self, *command: str, stdin: str | None = None, timeout_s: float = 60) -> Done:
        """Run a program quietly. Status 127 if it is not installed, 124 if it did not end in time."""
        try:
            done = subprocess.run(
                command,
                cwd=self.root,
                env=self.env,
                input=stdin,
                stdin=None if stdin is not None else subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout_s,
            )
        except FileNotFoundError:
            return Done(127, "", f"{command[0]} is not installed")
        except subprocess.TimeoutExpired:
            return Done(124, "", f"it did not end within {timeout_s:g} s")
        return Done(done.returncode, done.stdout, done.stderr)

    def show(self, *command: str, remedy: str, **env: str) -> None:
        """Run a program whose output goes to the terminal. Raises StoppedError if it fails."""
        print(f"$ {shlex.join(command)}", flush=True)
        try:
            status = subprocess.run(
                command, cwd=self.root, env={**self.env, **env}, stdin=subprocess.DEVNULL, check=False
            ).returncode
        except FileNotFoundError:
            raise StoppedError(f"{command[0]} is not installed. {remedy}") from None
        if status:
            raise StoppedError(f"{_named(command)} ended with status {status}. {remedy}")

    def read(self, *command: str, remedy: str, **env: str) -> str:
        """What a program prints. Raises StoppedError if it fails."""
        done = Programs(self.root, {**self.env, **env}).ask(*command)
        if done.status:
            raise StoppedError(f"{_named(command)} failed: {done.last_words}\n{remedy}")
        return done.out.strip()


def _named(command: Sequence[str]) -> str:
    """The program and what it was to do, without its options."""
    return " ".join([command[0], *(word for word in command[1:] if not word.startswith("-"))][:3])
