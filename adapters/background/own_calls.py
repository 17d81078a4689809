"""Calls to the model that kindcache makes itself: few, marked, and with a caller's own credential.

They go through the app behind the cache as that caller's request did, and never through the cache.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from ...cache.errors import BudgetSpent, KindcacheError, OwnCallError
from ...cache.events import Observer, OwnCall
from ...cache.learning.budget import DailyBudget
from ...cache.settling import Received
from ..asgi import App, Message, Scope, without
from ..dialects.dialect import Dialect
from ..serving.recording import Recording
from ..serving.request_body import instead

ORIGIN_HEADER = b"x-kindcache-origin"

# Of the caller's headers: what speaks of his body, or of how he wants to be answered. A key that
# makes repetitions harmless would give his own answer back.
_NOT_OURS = (
    b"accept",
    b"accept-encoding",
    b"cache-control",
    b"content-length",
    b"content-type",
    b"expect",
    b"idempotency-key",
    b"pragma",
    b"transfer-encoding",
    ORIGIN_HEADER,
)


class OwnCalls:
    """Asks ``app`` on behalf of a caller who is not waiting.

    ``deadline_s`` bounds a whole call, ``limit_bytes`` what is read of its answer.
    """

    def __init__(
        self,
        app: App,
        budget: DailyBudget,
        observer: Observer,
        *,
        deadline_s: float,
        limit_bytes: int,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._app = app
        self._budget = budget
        self._observer = observer
        self._deadline_s = deadline_s
        self._limit_bytes = limit_bytes
        self._clock = clock

    @property
    def left(self) -> int:
        """Return how many calls are left today."""
        return self._budget.left

    async def ask(self, dialect: Dialect, scope: Scope, body: bytes, purpose: str) -> Received:
        """Ask as the caller of ``scope`` did, but for ``body``; the answer comes whole.

        Raises ``BudgetSpent``, or ``OwnCallError`` when no whole response came in time. An error
        of the model is a response too.
        """
        if not self._budget.take():
            self._tell(purpose, "unpaid")
            raise BudgetSpent("no call is left today")
        recording = Recording(dialect, self._limit_bytes, self._clock)

        async def take(message: Message) -> None:
            recording.take(message)

        try:
            async with asyncio.timeout(self._deadline_s):
                await self._app(_ours(scope, body, purpose), instead(body, _never), take)
        except TimeoutError as exc:
            raise OwnCallError("no answer in time") from exc
        except KindcacheError as exc:
            raise OwnCallError("the answer broke off") from exc
        finally:
            self._tell(purpose, "answered" if recording.ended else "failed")
        if not recording.ended:
            raise OwnCallError("the response did not end")
        return recording.received()

    def _tell(self, purpose: str, outcome: str) -> None:
        self._observer.notify(OwnCall(purpose, outcome))


def _ours(scope: Scope, body: bytes, purpose: str) -> Scope:
    headers = [
        *without(scope["headers"], *_NOT_OURS),
        (b"accept", b"application/json"),
        (b"accept-encoding", b"identity"),
        (b"cache-control", b"no-cache, no-store"),  # a cache further on must take no part
        (b"content-length", str(len(body)).encode()),
        (b"content-type", b"application/json"),
        (ORIGIN_HEADER, purpose.encode()),
    ]
    # Extensions belong to a connection that may be gone, and state is shared with other requests.
    return {**scope, "headers": headers, "extensions": {}, "state": dict(scope.get("state") or {})}


async def _never() -> Message:
    """Wait for a client that does not leave."""
    forever: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    return await forever
