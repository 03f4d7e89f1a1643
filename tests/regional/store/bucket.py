"""A strict stand-in of an S3-compatible store: it takes only requests that are signed as AWS documents it."""

import hashlib
import hmac
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

KEY_ID, SECRET, REGION, BUCKET = (
    "AKIDEXAMPLE",
    "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "eu-west-1",
    "calls",
)
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<day>\d{8})/(?P<region>[^/]+)/s3/aws4_request, "
    r"SignedHeaders=(?P<names>[a-z0-9;\-]+), Signature=(?P<signature>[0-9a-f]{64})"
)


class Bucket:
    """What has been kept, and what was refused. ``failures``: so many requests are answered 503 first."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.types: dict[str, str] = {}
        self.refused: list[str] = []
        self.failures = 0
        self.url = ""


def fault_of(handler: BaseHTTPRequestHandler, body: bytes) -> str:
    """Why a request's signature is not taken; empty: it is."""
    given = AUTHORIZATION.fullmatch(handler.headers.get("authorization", ""))
    if given is None:
        return "no signature"
    stamp, digest = handler.headers.get("x-amz-date", ""), handler.headers.get("x-amz-content-sha256", "")
    at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if abs(datetime.now(UTC) - at) > timedelta(minutes=15) or given["day"] != stamp[:8]:
        return "too old"
    if digest != hashlib.sha256(body).hexdigest():
        return "the body is not what was signed"
    names = given["names"].split(";")
    if names != sorted(names) or not {"host", "x-amz-content-sha256", "x-amz-date"} <= {*names}:
        return "headers are missing in the signature"
    headers = "".join(f"{name}:{' '.join(handler.headers[name].split())}\n" for name in names)
    canonical = "\n".join([handler.command, handler.path, "", headers, given["names"], digest])
    key = b"AWS4" + SECRET.encode()
    for part in (given["day"], REGION, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    scope = f"{given['day']}/{REGION}/s3/aws4_request"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    expected = hmac.digest(key, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashed}".encode(), "sha256").hex()
    if (given["key"], given["region"]) != (KEY_ID, REGION) or given["signature"] != expected:
        return "the signature does not match"
    return ""


def handler_of(bucket: Bucket) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self, status: int, body: bytes = b"") -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def take(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            fault = fault_of(self, body)
            _, name, key = unquote(self.path).split("/", 2)
            if fault:
                bucket.refused.append(fault)
                self.answer(403)
            elif bucket.failures:
                bucket.failures -= 1
                self.answer(503)
            elif name != BUCKET:
                self.answer(404)
            elif self.command == "PUT":
                bucket.files[key], bucket.types[key] = body, self.headers.get("content-type", "")
                self.answer(200)
            elif self.command == "DELETE":
                bucket.files.pop(key, None)
                self.answer(204)
            else:
                self.answer(200 if key in bucket.files else 404, bucket.files.get(key, b""))

        do_PUT = do_GET = do_DELETE = take

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@contextmanager
def serving_bucket() -> Iterator[Bucket]:
    """A store with one bucket, on a port of this machine's."""
    bucket = Bucket()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(bucket))
    bucket.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield bucket
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
