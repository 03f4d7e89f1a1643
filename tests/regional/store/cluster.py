"""A PostgreSQL of the tests' own: a cluster in a temporary folder, on a Unix socket, never the system's service."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from urllib.parse import quote

import psycopg

USER = "repartee"
PASSWORD = "a secret / with # signs"


def programs() -> Path | None:
    """Where PostgreSQL's programs are; None if it is not installed, or nobody is there to run it."""
    if os.geteuid() == 0 and not _has_user("postgres"):
        return None
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]), reverse=True
    )
    return versions[0].parent if versions else None


def _has_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


@dataclass
class Cluster:
    """A running server. ``url`` is that of a database by its name."""

    folder: Path
    bin: Path
    made: Iterator[int]

    def url(self, name: str, *, user: str = USER, password: str = PASSWORD) -> str:
        return (
            f"postgresql://{user}:{quote(password, safe='')}@/{name}?host={quote(str(self.folder), safe='')}"
        )

    def new_database(self) -> str:
        """The address of an empty database."""
        name = f"test_{next(self.made)}"
        self.execute(f"CREATE DATABASE {name} OWNER {USER}")
        return self.url(name)

    def execute(self, sql: str) -> None:
        """As the administrator."""
        with psycopg.connect(self.url("postgres", user="admin"), autocommit=True) as connection:
            connection.execute(sql.encode())

    def stop(self) -> None:
        """At once, as if the machine had gone."""
        run(self.bin / "pg_ctl", "-D", self.folder / "data", "-m", "immediate", "-w", "stop")

    def start(self) -> None:
        """Ready on return. (fsync is off: no test cuts the power.)"""
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off -c max_connections=40"
        log = self.folder / "log"
        run(self.bin / "pg_ctl", "-D", self.folder / "data", "-l", log, "-o", options, "-w", "start")


def run(*command: object) -> None:
    """As the user that PostgreSQL may run as: it refuses root."""
    words = [str(word) for word in command]
    user = "postgres" if os.geteuid() == 0 else None
    done = subprocess.run(
        words,
        user=user,
        group=user,
        extra_groups=[] if user else None,
        cwd="/",
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A server for as long as the block lasts."""
    found = programs()
    assert found is not None
    with tempfile.TemporaryDirectory(prefix="repartee-pg-") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        secret = folder / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        running = Cluster(folder, found, count())
        run(
            found / "initdb",
            "-D",
            folder / "data",
            "--no-sync",
            "--auth=scram-sha-256",
            "--username=admin",
            f"--pwfile={secret}",
            "--encoding=UTF8",
            "--locale=C",
        )
        running.start()
        try:
            running.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
            yield running
        finally:
            running.stop()
