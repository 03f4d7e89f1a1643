"""An S3-compatible store of files: put, get and delete, each request signed (AWS Signature Version 4).

Blocks: for threads and for processes of their own. Knows nothing of what the files are.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx

from repartee.errors import StoreError

TIMEOUT_S = 60.0
EMPTY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class ObjectStorePlace:
    """A bucket, and who may write into it. ``endpoint`` is empty for AWS; ``session_token`` goes with a key that ages
    out."""

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = "us-east-1"
    key_id: str = ""
    secret_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)

    def address(self, name: str) -> str:
        """Of a file, path-style, as every S3-compatible store takes it."""
        root = self.endpoint.rstrip("/") or f"https://s3.{self.region}.amazonaws.com"
        path = "/".join(part for part in (self.bucket, self.prefix.strip("/"), name) if part)
        return f"{root}/{quote(path, safe='/-_.~')}"


def signed_headers(
    place: ObjectStorePlace, method: str, url: str, body_sha256: str, now: datetime
) -> Mapping[str, str]:
    """The headers that sign a request without a query (AWS's "Signature Version 4"), ``now`` in UTC."""
    parts = urlsplit(url)
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    headers = {"host": parts.netloc, "x-amz-content-sha256": body_sha256, "x-amz-date": stamp}
    if place.session_token:
        headers["x-amz-security-token"] = place.session_token
    names = ";".join(sorted(headers))
    listed = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = "\n".join((method, parts.path, "", listed, names, body_sha256))
    scope = f"{day}/{place.region}/s3/aws4_request"
    hashed = hashlib.sha256(request.encode()).hexdigest()
    key = f"AWS4{place.secret_key}".encode()
    for part in (day, place.region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashed}".encode(), hashlib.sha256)
    credential = f"{place.key_id}/{scope}"
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature.hexdigest()}"
    )
    return {name: value for name, value in headers.items() if name != "host"} | {
        "authorization": authorization
    }


class ObjectStore:
    """The files of one place."""

    def __init__(self, place: ObjectStorePlace) -> None:
        self._place = place

    def __repr__(self) -> str:
        return f"<ObjectStore s3://{self._place.bucket}/{self._place.prefix}>"

    def put(self, name: str, file: Path, content_type: str) -> None:
        """Keep a file under this name. Raises StoreError."""
        data = file.read_bytes()
        self._ask("PUT", name, data, {"content-type": content_type})

    def get(self, name: str) -> bytes | None:
        """A file; None if there is none. Raises StoreError."""
        answer = self._ask("GET", name)
        return None if answer.status_code == httpx.codes.NOT_FOUND else answer.content

    def delete(self, name: str) -> bool:
        """Forget a file; whether there may have been one. Raises StoreError."""
        return self._ask("DELETE", name).status_code != httpx.codes.NOT_FOUND

    def _ask(
        self, method: str, name: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        url = self._place.address(name)
        digest = hashlib.sha256(body).hexdigest() if body else EMPTY
        signed = signed_headers(self._place, method, url, digest, datetime.now(UTC))
        try:
            answer = httpx.request(
                method, url, content=body, headers={**(headers or {}), **signed}, timeout=TIMEOUT_S
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise StoreError(f"{self!r} cannot be reached: {type(error).__name__}") from None
        if not answer.is_success and answer.status_code != httpx.codes.NOT_FOUND:
            raise StoreError(f"{self!r} refuses {method} with status {answer.status_code}")
        if method == "PUT" and not answer.is_success:
            raise StoreError(f"{self!r} has no such bucket")
        return answer
