"""Where recordings of calls are: a folder, or a bucket of an S3-compatible store. Blocks.

A name is a path of plain parts, such as ``2026/11/27/call.ogg``.
"""

import re
import shutil
from pathlib import Path
from typing import Protocol

from repartee.errors import StoreError
from repartee.store.object_store import ObjectStore, ObjectStorePlace

NAME = re.compile(r"(?:[A-Za-z0-9_\-]+/)*[A-Za-z0-9_\-]+\.(?:ogg|wav)")
CONTENT_TYPES = {".ogg": "audio/ogg", ".wav": "audio/wav"}
S3 = "s3://"


class RecordingPlace(Protocol):
    """Keeps files. Everything raises StoreError if the place fails."""

    def put(self, name: str, file: Path, content_type: str) -> None:
        """Keep a file under this name."""
        ...

    def get(self, name: str) -> bytes | None:
        """A file; None if there is none."""
        ...

    def delete(self, name: str) -> bool:
        """Forget a file; whether there may have been one."""
        ...


class RecordingFolder:
    """A folder on this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __repr__(self) -> str:
        return f"<RecordingFolder {self._folder}>"

    def put(self, name: str, file: Path, content_type: str) -> None:
        """Keep a file under this name: all of it is there, or nothing."""
        path = self._path(name)
        part = path.with_name(f".{path.name}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, part)
            part.replace(path)
        except OSError as error:
            raise StoreError(f"{self!r} cannot be written: {error.strerror}") from None

    def get(self, name: str) -> bytes | None:
        """A file; None if there is none."""
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{self!r} cannot be read: {error.strerror}") from None

    def delete(self, name: str) -> bool:
        """Forget a file; whether there was one."""
        try:
            self._path(name).unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StoreError(f"{self!r} cannot be written: {error.strerror}") from None
        return True

    def _path(self, name: str) -> Path:
        if NAME.fullmatch(name) is None:
            raise StoreError(f"{name!r} is no name of a recording")
        return self._folder / name


def bucket_of(address: str) -> tuple[str, str]:
    """The bucket and the prefix of ``s3://bucket/prefix``. Raises ValueError."""
    bucket, _, prefix = address.removeprefix(S3).partition("/")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.\-]{1,62}", bucket):
        raise ValueError(f"{bucket!r} is no bucket's name")
    return bucket, prefix.strip("/")


def open_place(address: str, bucket: ObjectStorePlace | None = None) -> RecordingPlace:
    """A folder, or the bucket whose keys are given."""
    return ObjectStore(bucket) if bucket is not None else RecordingFolder(Path(address))
