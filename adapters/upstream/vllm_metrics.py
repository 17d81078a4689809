"""Reads a vLLM server's own queue from its metrics page."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import aiohttp

from ...cache.errors import KindcacheError
from ...policies.load import Queue

MOST_BYTES = 4 << 20
NAMES = {
    "vllm:num_requests_waiting": "waiting",
    "vllm:num_requests_running": "running",
    "vllm:kv_cache_usage_perc": "cache_share",
    "vllm:gpu_cache_usage_perc": "cache_share",  # before version 0.10
}
_LINE = re.compile(r"^(vllm:[a-z_]+)(?:\{(.*)\})?\s+(\S+)(?:\s+\d+)?$")
_MODEL = re.compile(r'model_name="((?:[^"\\]|\\.)*)"')


class MetricsError(KindcacheError):
    """The page did not come, or is none."""


class VllmMetrics:
    """Asks ``url`` for its queues. Connects on first use."""

    def __init__(self, url: str, deadline_s: float) -> None:
        self._url = url
        self._deadline_s = deadline_s
        self._session: aiohttp.ClientSession | None = None

    async def read(self) -> Mapping[str, Queue]:
        """Return the queue of each model. Raises ``MetricsError``, within the deadline."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=self._deadline_s)
            self._session = aiohttp.ClientSession(timeout=timeout)
        try:
            async with self._session.get(self._url) as response:
                if response.status != 200:
                    raise MetricsError(f"status {response.status}")
                page = await response.content.read(MOST_BYTES)
                while len(page) < MOST_BYTES and (more := await response.content.readany()):
                    page += more
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            raise MetricsError(type(exc).__name__) from exc
        return queues(page[:MOST_BYTES].decode(errors="replace"))

    async def aclose(self) -> None:
        """Close the connection. Safe to call twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def queues(page: str) -> Mapping[str, Queue]:
    """Return the queues in a page of metrics: engines of one model added up, the fullest cache.

    What is no number is as good as absent; a model without both counts is left out.
    """
    found: dict[str, dict[str, float]] = {}
    for line in page.splitlines():
        if not line.startswith("vllm:"):
            continue
        read = _LINE.match(line)
        field = NAMES.get(read[1]) if read is not None else None
        if read is None or field is None:
            continue
        value = _number(read[3])
        if value is None:
            continue
        named = _MODEL.search(read[2] or "")
        known = found.setdefault(named[1] if named else "", {})
        before = known.get(field, 0.0)
        known[field] = max(before, value) if field == "cache_share" else before + value
    return {
        name: Queue(known["waiting"], known["running"], known.get("cache_share", 0.0))
        for name, known in found.items()
        if "waiting" in known and "running" in known
    }


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0.0 else None
