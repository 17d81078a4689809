"""Things to remember for a while, here and in the store, so that restarts and others know them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..ports import Clock, News, Store


class Notices:
    """Keys with a figure each, until they expire. Bounded; in memory at once, in the store later.

    ``ledger`` names the counters of the store that hold them; a counter's name is the key in
    hexadecimal, "<", the figure, "@" and the expiry, both in seconds; its amount says nothing.
    """

    def __init__(self, ledger: str, clock: Clock, limit: int) -> None:
        self._ledger = ledger
        self._clock = clock
        self._limit = limit
        self._kept: dict[bytes, tuple[float, float]] = {}  # figure, expiry
        self._unsent: set[str] = set()

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._kept)

    def get(self, key: bytes) -> float | None:
        """Return the figure of ``key``, None when it is not known."""
        kept = self._kept.get(key)
        return None if kept is None else kept[0]

    def add(self, key: bytes, expires_s: float, figure: float = 0.0) -> bool:
        """Keep ``key``; False when it is known with no smaller figure, or when there is no room."""
        known = self.get(key)
        if known is not None and known >= figure:
            return False
        if not self._take_in(key, figure, expires_s):
            return False
        self._unsent.add(f"{key.hex()}<{figure!r}@{int(expires_s)}")
        return True

    async def send(self, store: Store) -> None:
        """Tell ``store`` what is new. Raises ``StoreError``; the next call tells it then."""
        names = tuple(self._unsent)
        if names:
            await store.count(self._ledger, dict.fromkeys(names, 1))
            await store.changes.tell([News("notice", self._ledger.encode())])
            self._unsent.difference_update(names)

    async def read(self, store: Store) -> None:
        """Take in what ``store`` knows, and drop what has expired. Raises ``StoreError``.

        So is what another name of the store says too: a key that is noted often would fill it.
        """
        names = await store.counts(self._ledger)
        now_s = self._clock()
        gone, latest = [], dict[bytes, tuple[float, float, str]]()
        for name in names:
            match _parsed(name):
                case (_, _, expires_s) if expires_s <= now_s:
                    gone.append(name)
                case (key, figure, expires_s):
                    self._take_in(key, figure, expires_s)
                    gone.extend(_outdone(latest, key, (figure, expires_s, name)))
        self._kept = {key: kept for key, kept in self._kept.items() if kept[1] > now_s}
        if gone:
            await store.uncount(self._ledger, gone)

    async def forget(self, store: Store, gone: Callable[[bytes], bool]) -> None:
        """Forget the keys that are ``gone``, here and in ``store``. Raises ``StoreError``."""
        self._kept = {key: kept for key, kept in self._kept.items() if not gone(key)}
        self._unsent = {name for name in self._unsent if not _is(gone, name)}
        names = [name for name in await store.counts(self._ledger) if _is(gone, name)]
        if names:
            await store.uncount(self._ledger, names)

    def _take_in(self, key: bytes, figure: float, expires_s: float) -> bool:
        known = self._kept.get(key)
        if known is not None:
            figure, expires_s = max(figure, known[0]), max(expires_s, known[1])
        elif len(self._kept) >= self._limit:
            return False
        self._kept[key] = (figure, expires_s)
        return True


def _outdone(
    latest: dict[bytes, tuple[float, float, str]], key: bytes, one: tuple[float, float, str]
) -> Iterator[str]:
    """Keep the later of two notices of ``key``, and yield the name of the other."""
    other = latest.setdefault(key, one)
    if other is one:
        return
    more, less = max(one, other), min(one, other)
    if more[1] >= less[1]:  # else each says something of its own
        latest[key] = more
        yield less[2]


def _is(gone: Callable[[bytes], bool], name: str) -> bool:
    parsed = _parsed(name)
    return parsed is not None and gone(parsed[0])


def _parsed(name: str) -> tuple[bytes, float, float] | None:
    """Read a counter's name; None for one that another version wrote."""
    key, _, rest = name.partition("<")
    figure, _, expires = rest.partition("@")
    try:
        return bytes.fromhex(key), float(figure), float(int(expires))
    except ValueError:
        return None
