"""Errors of the cache, all of them.

    KindcacheError
    ├── StoreError            the store failed, was late, or is unreachable
    ├── EmbedderError         the embedder failed
    │   ├── EmbedderBusy      its queue is full
    │   └── EmbedderTimeout   it did not answer within its deadline
    ├── ScorerError           the pair scorer failed, was late, or is busy
    ├── JudgeError            two answers could not be compared
    ├── OwnCallError          a call that kindcache made itself got no answer
    │   └── BudgetSpent       the day's calls are used up
    ├── CorruptRecord         stored bytes that cannot be read (damaged, or of an unknown version)
    └── StartupError          the configuration names something that cannot work; fails closed

Foreign exceptions are translated where they arise, ``from exc``. All but the last end in a miss.
"""


class KindcacheError(Exception):
    """Root of every error that kindcache raises on purpose."""


class StoreError(KindcacheError):
    """The store failed, was late, or is unreachable."""


class EmbedderError(KindcacheError):
    """The embedder failed."""


class EmbedderBusy(EmbedderError):
    """The embedder's queue is full."""


class EmbedderTimeout(EmbedderError):
    """The embedder did not answer within its deadline."""


class ScorerError(KindcacheError):
    """The pair scorer failed, was late, or is busy."""


class JudgeError(KindcacheError):
    """Two answers could not be compared."""


class OwnCallError(KindcacheError):
    """A call that kindcache made itself got no answer."""


class BudgetSpent(OwnCallError):
    """The day's calls are used up."""


class CorruptRecord(KindcacheError):
    """Stored bytes are damaged or of an unknown version."""


class StartupError(KindcacheError):
    """The configuration names something that cannot work here."""
