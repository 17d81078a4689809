"""Where a request goes: the upstream's base URL joined with the path that the client asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from starlette.types import Scope
from yarl import URL

from ...cache.errors import StartupError

VERSION_SEGMENT = re.compile(r"/v\d[^/]*(?=/|$)")


@dataclass(frozen=True, slots=True)
class Target:
    """The upstream's address, split at the API version.

    A base URL whose path names a version (``/v1``, ``/openai/v1``, ``/v1beta/openai``) is what
    OpenAI clients call ``base_url``: an incoming ``/v1/x`` goes to ``base + /x``. Any other path,
    such as ``/health``, goes to what stands before the version. A base URL without a version gets
    every path appended as it came.
    """

    origin: str  # scheme, host and port: all that may appear in an error message
    root: str  # path prefix of everything; "" or "/prefix"
    api: str  # path that stands for the client's /v1

    @classmethod
    def parse(cls, base_url: str) -> Target:
        """Read a base URL. Raises ``StartupError`` for what cannot be an upstream."""
        try:
            url = URL(base_url.strip())
        except ValueError as exc:
            raise StartupError("upstream base_url is not a URL") from exc
        if url.scheme not in ("http", "https") or not url.host:
            raise StartupError("upstream base_url must look like http://host:port/v1")
        if url.user is not None or url.password is not None:
            raise StartupError("upstream base_url must not carry credentials")
        if url.raw_query_string or url.raw_fragment:
            raise StartupError("upstream base_url must not carry a query or a fragment")
        path = url.raw_path.rstrip("/")
        version = VERSION_SEGMENT.search(path)
        if version is None:
            return cls(str(url.origin()), path, f"{path}/v1")
        return cls(str(url.origin()), path[: version.start()], path)

    def url(self, scope: Scope) -> URL | None:
        """Return the URL for a request, its path and query byte for byte; None if it has no path.

        ``OPTIONS *`` is such a request.
        """
        path = requested_path(scope)
        if not path.startswith("/"):
            return None
        versioned = path == "/v1" or path.startswith("/v1/")
        path = self.api + path[3:] if versioned else self.root + path
        query = scope.get("query_string", b"")
        suffix = f"?{query.decode('latin-1')}" if query else ""
        return URL(f"{self.origin}{path or '/'}{suffix}", encoded=True)


def requested_path(scope: Scope) -> str:
    """Return the path as the client wrote it, below where the app is mounted."""
    root = scope.get("root_path", "").rstrip("/")
    raw = scope.get("raw_path")
    path: str = (
        quote(scope["path"], safe="/!$&'()*+,;=:@~") if raw is None else raw.decode("latin-1")
    )
    prefix = quote(root, safe="/!$&'()*+,;=:@~")
    return path[len(prefix) :] or "/" if prefix and path.startswith(prefix) else path
