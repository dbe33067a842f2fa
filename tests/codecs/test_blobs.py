"""Blobs are whole and durable or not there; what nothing refers to is swept, and nothing else."""

from __future__ import annotations

import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

import pytest

from keepstep import Engine, step, workflow
from keepstep.codecs import BlobStore, Codec, FileBlobs
from keepstep.codecs.blobs import BlobMissing
from keepstep.codecs.environment import blobs_at, codec_from_environment
from keepstep.codecs.sweeping import sweep
from keepstep.journal import InvalidInput, StoreUnavailable
from keepstep.journal.kept import KeptIn

REFERENCE = "ab" + "0" * 62


class Bucket(http.server.BaseHTTPRequestHandler):
    """As much of S3 as a place for blobs needs: PUT, GET, DELETE and ListObjectsV2 of one bucket."""

    objects: ClassVar[dict[str, bytes]] = {}
    unsigned: ClassVar[int] = 0
    trouble: ClassVar[bool] = False
    protocol_version = "HTTP/1.1"

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"tag"')
        self.send_header("Last-Modified", "Fri, 27 Nov 2026 10:00:00 GMT")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _key(self) -> str:
        if "AWS4-HMAC-SHA256" not in self.headers.get("Authorization", ""):
            type(self).unsigned += 1
        return urlsplit(self.path).path.removeprefix("/bucket").lstrip("/")

    def do_PUT(self) -> None:
        key, body = self._key(), self.rfile.read(int(self.headers["Content-Length"]))
        if self.trouble:
            self._answer(403, b"<Error><Code>AccessDenied</Code></Error>")
            return
        self.objects[key] = body
        self._answer(200)

    def do_GET(self) -> None:
        key = self._key()
        if not key:
            self._list(parse_qs(urlsplit(self.path).query).get("prefix", [""])[0])
        elif key in self.objects:
            self._answer(200, self.objects[key])
        else:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    def _list(self, prefix: str) -> None:
        found = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(body)}</Size><ETag>t</ETag>"
            "<LastModified>2026-11-27T10:00:00.000Z</LastModified></Contents>"
            for key, body in self.objects.items()
            if key.startswith(prefix)
        )
        self._answer(200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>".encode())

    def do_DELETE(self) -> None:
        self.objects.pop(self._key(), None)
        self._answer(204)

    def do_POST(self) -> None:
        """DeleteObjects."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._key()
        keys = [part.partition("</Key>")[0] for part in body.split("<Key>")[1:]]
        for key in keys:
            self.objects.pop(key, None)
        deleted = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
        self._answer(200, f"<DeleteResult>{deleted}</DeleteResult>".encode())

    def log_message(self, format: str, *args: object) -> None:
        """Quietly."""


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}"),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "here"),
    ):
        monkeypatch.setenv(name, value)
    Bucket.objects.clear()
    Bucket.unsigned, Bucket.trouble = 0, False
    yield "s3://bucket/orders"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(params=["files", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return blobs_at(request.getfixturevalue("bucket") if request.param == "s3" else str(tmp_path / "blobs"))


def test_a_blob_comes_back_is_listed_and_goes(blobs: BlobStore) -> None:
    data = os.urandom(100_000)
    blobs.put(REFERENCE, data)
    blobs.put(REFERENCE, data)
    assert blobs.get(REFERENCE) == data
    [found] = blobs.list()
    assert (found.reference, found.size) == (REFERENCE, 100_000)
    blobs.delete(REFERENCE)
    blobs.delete(REFERENCE)
    assert list(blobs.list()) == []
    with pytest.raises(BlobMissing, match=REFERENCE):
        blobs.get(REFERENCE)


def test_requests_to_s3_are_signed_and_below_the_prefix(bucket: str) -> None:
    blobs_at(bucket).put(REFERENCE, b"x")
    assert list(Bucket.objects) == [f"orders/{REFERENCE}"]
    assert Bucket.unsigned == 0


def test_a_bucket_that_refuses_is_trouble_of_the_store(bucket: str) -> None:
    Bucket.trouble = True
    with pytest.raises(StoreUnavailable, match="written to s3://bucket/orders"):
        blobs_at(bucket).put(REFERENCE, b"x")


def test_a_file_has_its_name_only_when_all_of_it_is_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    flush, rename = os.fsync, os.replace

    def note_flush(number: int) -> None:
        told.append("flush")
        flush(number)

    def note_rename(source: str, target: str) -> None:
        told.append("rename")
        rename(source, target)

    blobs = FileBlobs(tmp_path / "blobs")
    blobs.put("ab" + "1" * 62, b"x")
    monkeypatch.setattr(os, "fsync", note_flush)
    monkeypatch.setattr(os, "replace", note_rename)
    blobs.put(REFERENCE, b"x")
    assert told == ["flush", "rename", "flush"]


def test_a_disk_that_is_full_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(number: int) -> None:
        raise OSError(28, "No space left on device")

    blobs = FileBlobs(tmp_path)
    blobs.put("ab" + "1" * 62, b"x")
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StoreUnavailable, match="No space left"):
        blobs.put(REFERENCE, b"y")
    assert [found.reference for found in blobs.list()] == ["ab" + "1" * 62]


def test_the_environment_names_a_codec(tmp_path: Path) -> None:
    assert not codec_from_environment({}).changes_something
    made = codec_from_environment({"KEEPSTEP_COMPRESSION": "zlib", "KEEPSTEP_BLOBS": str(tmp_path)})
    assert made.compression == "zlib"
    assert isinstance(made.blobs, FileBlobs)
    with pytest.raises(InvalidInput, match="cannot be read"):
        codec_from_environment({"KEEPSTEP_KEYS": str(tmp_path / "none")})


@step
async def swept_step(n: int) -> str:
    return str(n) * 1000


@workflow
async def swept_run(n: int) -> int:
    return len(await swept_step(n))


async def test_what_nothing_refers_to_is_swept_when_it_is_old(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path / "blobs")
    codec = Codec(blobs=blobs, inline_bytes_max=500)
    async with Engine(f"sqlite:///{tmp_path}/a.db", codec=codec) as engine:
        for n in range(3):
            assert await engine.run(swept_run, n) == 1000
        blobs.put(REFERENCE, b"of a commit that never happened")
        now = next(found.written_at for found in blobs.list())
        young = await sweep(engine.journal, blobs, now=lambda: now + 3600, grace_seconds=7200)
        assert (young.blobs, young.removed, young.missing) == (4, 0, 0)
        counted = await sweep(engine.journal, blobs, now=lambda: now + 8000, grace_seconds=7200, dry_run=True)
        swept = await sweep(engine.journal, blobs, now=lambda: now + 8000, grace_seconds=7200)
        assert counted.removed == swept.removed == 1
        assert len(list(blobs.list())) == 3
        assert await engine.journal.purge("default", engine.journal.clock.now() + 1) == 3
        assert (await sweep(engine.journal, blobs, now=lambda: now + 8000, grace_seconds=7200)).removed == 3
        with pytest.raises(InvalidInput, match="younger"):
            await sweep(engine.journal, blobs, now=lambda: now, grace_seconds=0)


async def test_a_sweep_tells_of_blobs_that_are_missing(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path / "blobs")
    async with Engine(f"sqlite:///{tmp_path}/a.db", codec=Codec(blobs=blobs, inline_bytes_max=500)) as engine:
        await engine.run(swept_run, 1)
        for found in blobs.list():
            blobs.delete(found.reference)
        assert (await sweep(engine.journal, blobs, now=lambda: 0)).missing == 1
        assert await engine.journal.read_kept(KeptIn.EVENTS)
