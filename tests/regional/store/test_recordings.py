"""Where recordings are kept, and that they are gone when they are to be."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.regional.store.bucket import BUCKET, KEY_ID, REGION, SECRET, Bucket, serving_bucket
from tests.regional.store.fake import FakeStore

from repartee.errors import StoreError
from repartee.store.object_store import ObjectStore, ObjectStorePlace
from repartee.store.recording_places import RecordingFolder, RecordingPlace, bucket_of
from repartee.store.recordings import (
    RECORDINGS,
    erase_recordings,
    expire_recordings,
    keep_begun,
    keep_complete,
    recording_of,
)
from repartee.store.schema import Row

NAME = "2026/11/27/a-call_7.ogg"


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with serving_bucket() as bucket:
        yield bucket


def place_in(bucket: Bucket) -> ObjectStorePlace:
    return ObjectStorePlace(BUCKET, "voice calls/ü", bucket.url, REGION, KEY_ID, SECRET)


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> RecordingPlace:
    if request.param == "folder":
        return RecordingFolder(tmp_path / "kept")
    return ObjectStore(place_in(request.getfixturevalue("bucket")))


def test_a_file_is_kept_read_and_deleted(place: RecordingPlace, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"OggS...")
    place.put(NAME, tmp_path / "file", "audio/ogg")
    assert place.get(NAME) == b"OggS..."
    assert place.get(NAME.replace("7", "8")) is None
    assert place.delete(NAME)
    assert place.get(NAME) is None


def test_a_bucket_is_given_the_type_and_only_signed_requests(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    place = place_in(bucket)
    ObjectStore(place).put(NAME, tmp_path / "file", "audio/ogg")
    assert bucket.types == {f"voice calls/ü/{NAME}": "audio/ogg"}
    for wrong in (replace(place, secret_key="other"), replace(place, region="us-east-1")):
        with pytest.raises(StoreError, match="refuses GET with status 403") as refused:
            ObjectStore(wrong).get(NAME)
        assert SECRET not in str(refused.value) + repr(wrong)
    with pytest.raises(StoreError, match="no such bucket"):
        ObjectStore(replace(place, bucket="others")).put(NAME, tmp_path / "file", "audio/ogg")
    with pytest.raises(StoreError, match="cannot be reached"):
        ObjectStore(replace(place, endpoint="http://127.0.0.1:9")).get(NAME)
    ObjectStore(replace(place, session_token="tok")).get(NAME)


@pytest.mark.parametrize("name", ["../x.ogg", "a/../../x.ogg", "/etc/x.ogg", "x.txt", "a//x.ogg", ".ogg"])
def test_a_name_cannot_lead_out_of_the_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is no name of a recording"):
        RecordingFolder(tmp_path).get(name)


def test_a_buckets_address() -> None:
    assert bucket_of("s3://calls/eu/west/") == ("calls", "eu/west")
    assert bucket_of("s3://calls") == ("calls", "")
    with pytest.raises(ValueError, match="is no bucket's name"):
        bucket_of("s3:///x")


def row(call_id: str, caller: str, at: float) -> Row:
    name = f"{call_id}.wav"
    return {
        "call_id": call_id,
        "at": at,
        "caller": caller,
        "place": "P",
        "name": name,
        "bytes": 0,
        "seconds": 0.0,
    }


async def test_recordings_are_erased_and_expire_with_their_files(tmp_path: Path) -> None:
    store, place = FakeStore([RECORDINGS]), RecordingFolder(tmp_path / "kept")
    (tmp_path / "file").write_bytes(b"x")
    for n, caller in enumerate(["anna", "tom", "anna", "tom"]):
        keep_begun(store, row(f"c{n}", caller, n * 86_400.0))
        place.put(f"c{n}.wav", tmp_path / "file", "audio/wav")
    assert await keep_complete(store, "c0", 1, 2.5)
    assert not await keep_complete(store, "other", 1, 2.5)
    kept = await recording_of(store, "c0")
    assert kept is not None
    assert (kept["bytes"], kept["seconds"]) == (1, 2.5)
    opened: list[str] = []

    def place_of(address: str) -> RecordingPlace:
        opened.append(address)
        return place

    assert await erase_recordings(store, place_of, "anna") == 2
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["c1.wav", "c3.wav"]
    assert await expire_recordings(store, place_of, 1.0, 3.0 * 86_400) == 1
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["c3.wav"]
    assert await recording_of(store, "c1") is None
    assert set(opened) == {"P"}


async def test_a_row_stays_while_its_file_cannot_be_deleted(tmp_path: Path) -> None:
    store = FakeStore([RECORDINGS])
    keep_begun(store, row("c0", "anna", 0.0))

    class Broken(RecordingFolder):
        def delete(self, name: str) -> bool:
            raise StoreError("cannot be reached")

    with pytest.raises(StoreError, match="cannot be reached"):
        await erase_recordings(store, lambda _: Broken(tmp_path), "anna")
    assert await recording_of(store, "c0") is not None
