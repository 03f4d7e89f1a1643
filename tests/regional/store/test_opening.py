"""Stores that cannot be opened: each a sentence that says what is wrong and what to do, and never a password."""

import os
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.regional.store.cluster import PASSWORD, Cluster
from tests.regional.store.tables import CALLS, TABLES

from repartee.errors import ConfigurationError
from repartee.store.opening import StorePlace, open_store, own_file
from repartee.store.threaded import StoreLimits

QUICK = StoreLimits(timeout_s=2)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@contextmanager
def read_only_folder() -> Iterator[Path]:
    """A folder that this process may look into and not write to, not even as root."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(user)
            folder.chmod(0o700)


async def refusal(*, url: str = "", file: str = "") -> str:
    with pytest.raises(ConfigurationError) as caught:
        await open_store(StorePlace(url, file, QUICK), TABLES)
    told = str(caught.value)
    assert caught.value.__cause__ is None
    assert ("DATABASE_URL" if url else "REPARTEE_STORE_FILE") in told
    assert PASSWORD not in told and "wrong secret" not in told
    return told


async def test_without_an_address_rows_are_in_a_sqlite_file_in_wal_mode(tmp_path: Path) -> None:
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    store = await open_store(StorePlace(), TABLES, environ)
    await store.write(lambda writing: writing.insert(CALLS, {"call_id": "a", "started_at": 0.0}))
    await store.aclose()
    path = tmp_path / "repartee" / "store.sqlite3"
    assert path == own_file(environ)
    database = sqlite3.connect(path)
    assert database.execute("SELECT call_id FROM repartee_calls").fetchall() == [("a",)]
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()


async def test_with_an_address_rows_are_in_postgresql_and_no_file_is_made(
    postgresql: Cluster, tmp_path: Path
) -> None:
    config = StorePlace(postgresql.new_database(), str(tmp_path / "store.sqlite3"))
    for _ in range(2):
        store = await open_store(config, TABLES)
        await store.write(lambda writing: writing.insert(CALLS, {"call_id": "a", "started_at": 0.0}))
        await store.aclose()
    assert names(tmp_path) == []


async def test_memory_is_no_file_and_forgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        store = await open_store(StorePlace(file=":memory:"), TABLES)
        assert await store.write(lambda writing: writing.insert(CALLS, {"call_id": "a", "started_at": 0.0}))
        await store.aclose()
    assert names(tmp_path) == []


async def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    told = await refusal(url=f"postgresql://repartee:wrong%20secret@127.0.0.1:{port}/store")
    assert "127.0.0.1, database store" in told and "refused" in told


async def test_somebody_listens_who_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        told = await refusal(url=f"postgresql://127.0.0.1:{port}/store")
    assert "timeout" in told


async def test_a_password_is_refused(postgresql: Cluster) -> None:
    told = await refusal(url=postgresql.url("postgres", password="wrong secret"))
    assert 'password authentication failed for user "repartee"' in told


async def test_the_database_is_missing(postgresql: Cluster) -> None:
    told = await refusal(url=postgresql.url("nowhere"))
    assert 'database "nowhere" does not exist' in told


async def test_the_user_may_not_make_tables(postgresql: Cluster) -> None:
    postgresql.execute("CREATE DATABASE others")
    told = await refusal(url=postgresql.url("others"))
    assert "permission denied" in told and "may create tables" in told


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://repartee:{PASSWORD}@localhost/store",
        "postgresql://repartee:wrong secret@localhost:many/store",
        "postgresql://repartee:x@localhost/store?colour=wrong secret",
    ],
)
async def test_an_address_that_cannot_be_read_is_not_quoted(url: str) -> None:
    told = await refusal(url=url)
    assert "%XX" in told and "colour" not in told and "a secret" not in told


async def test_psycopg_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "repartee.store.postgresql", raising=False)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    told = await refusal(url="postgresql://localhost/store")
    assert "pip install 'repartee[postgres]'" in told


async def test_the_folder_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    told = await refusal(file=str(tmp_path / "file" / "store.sqlite3"))
    assert "Not a directory" in told or "File exists" in told
    assert "another place" in told.lower()


async def test_the_folder_is_read_only() -> None:
    with read_only_folder() as folder:
        assert "Permission denied" in await refusal(file=str(folder / "store.sqlite3"))


async def test_the_folder_is_on_a_file_system_that_takes_no_files() -> None:
    assert "cannot be used" in await refusal(file="/proc/repartee/store.sqlite3")


async def test_the_file_is_a_folder(tmp_path: Path) -> None:
    assert "Is a directory" in await refusal(file=str(tmp_path))


@pytest.mark.parametrize("text", [b"a text that somebody has put here " * 200, b"SQLite format 3\0" * 400])
async def test_the_file_is_no_store_and_stays_as_it_is(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "store.sqlite3"
    path.write_bytes(text)
    told = await refusal(file=str(path))
    assert "not a database" in told or "malformed" in told
    assert "move it away" in told
    assert path.read_bytes() == text


async def test_another_process_holds_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repartee.store.migrations.MIGRATION_S", 0.2)
    path = tmp_path / "store.sqlite3"
    await (await open_store(StorePlace(file=str(path)), TABLES)).aclose()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert "database is locked" in await refusal(file=str(path))
    other.close()


async def test_where_there_is_no_place_for_a_file_things_are_kept_in_memory_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "repartee").write_text("in the way")
    store = await open_store(StorePlace(), TABLES, {"XDG_STATE_HOME": str(tmp_path)})
    await store.write(lambda writing: writing.insert(CALLS, {"call_id": "a", "started_at": 0.0}))
    await store.aclose()
    assert "keeping things in memory until this process ends" in caplog.text
    assert "REPARTEE_STORE_FILE" in caplog.text


async def test_a_damaged_file_of_our_own_is_not_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "repartee" / "store.sqlite3"
    path.parent.mkdir()
    path.write_text("damaged " * 1_000)
    with pytest.raises(ConfigurationError, match="not a database"):
        await open_store(StorePlace(), TABLES, {"XDG_STATE_HOME": str(tmp_path)})
