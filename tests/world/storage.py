"""The storage host: signed addresses that end, and no patience with a token that was meant for another host."""

from __future__ import annotations

import hashlib
import hmac
import time
from pathlib import Path
from urllib.parse import quote, urlencode

from world.answers import Answer, Asked, file_answer, page

_SECRET = b"storage"
DAY = 86400


class Storage:
    """Files by name. Signed addresses last `seconds`; `expire()` ends all that were given so far."""

    def __init__(self) -> None:
        self.url = ""
        self.seconds: float = DAY
        self._generation = 0
        self._stored: dict[str, bytes | Path] = {}
        self._public: dict[str, Answer] = {}

    def keep(self, data: bytes | Path, key: str) -> str:
        """Keep a file under a key, to be signed for."""
        self._stored[key] = data
        return key

    def publish(self, path: str, data: bytes | Path, headers: dict[str, str]) -> str:
        """Show a file to everybody under a path; its address."""
        self._public["/" + path.lstrip("/")] = file_answer(data).with_headers(**headers)
        return f"{self.url}/{quote(path.lstrip('/'))}"

    def signed(self, key: str, disposition: str | None = None) -> str:
        """An address that lasts, as S3 and R2 give them."""
        until = f"{time.time() + self.seconds:.3f}"
        query = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Expires": until,
            "X-Amz-SignedHeaders": "host",
            "x-id": "GetObject",
            "X-Amz-Meta-Generation": str(self._generation),
            "X-Amz-Signature": self._signature(key, until, str(self._generation)),
        }
        if disposition:
            query["response-content-disposition"] = disposition
        return f"{self.url}/bucket/{quote(key)}?{urlencode(query, quote_via=quote)}"

    def expire(self) -> None:
        """End every signed address that was given so far."""
        self._generation += 1

    def reply(self, asked: Asked) -> Answer:
        if asked.authorization is not None:
            return _xml(400, "InvalidRequest", "Missing x-amz-content-sha256")
        if asked.method not in ("GET", "HEAD"):
            return _xml(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
        if asked.path in self._public:
            return self._public[asked.path]
        if not asked.path.startswith("/bucket/"):
            return page("Not here", 404)
        key = asked.path.removeprefix("/bucket/")
        if trouble := self._trouble(key, asked.query):
            return trouble
        return self._file(key, asked.query.get("response-content-disposition"))

    def _trouble(self, key: str, query: dict[str, str]) -> Answer | None:
        until, generation = query.get("X-Amz-Expires", ""), query.get("X-Amz-Meta-Generation", "")
        if not hmac.compare_digest(query.get("X-Amz-Signature", ""), self._signature(key, until, generation)):
            return _xml(403, "SignatureDoesNotMatch", "The request signature we calculated does not match.")
        if float(until) < time.time() or int(generation) < self._generation:
            return _xml(403, "AccessDenied", "Request has expired")
        return None if key in self._stored else _xml(404, "NoSuchKey", "The specified key does not exist.")

    def _file(self, key: str, disposition: str | None) -> Answer:
        return file_answer(self._stored[key]).with_headers(Content_Disposition=disposition)

    def _signature(self, key: str, until: str, generation: str) -> str:
        return hmac.new(_SECRET, f"{key}\n{until}\n{generation}".encode(), hashlib.sha256).hexdigest()


def _xml(status: int, code: str, message: str) -> Answer:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Answer(status, {"Content-Type": "application/xml"}, text.encode())
