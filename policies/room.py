"""Who must give when room is short: guaranteed shares, lent room, and a cap for each scope.

Room is counted twice, in entries and in bytes, and both must suffice. A category's guarantee is its
quota of each. What no category holds is lent to any that asks. When nothing is idle:

- a category within its guarantee reclaims: the category that is most over its own gives;
- a category beyond it competes: any that is over its own may give, itself included.

A scope at its cap pays with entries of its own. So what is evicted for others was always lent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

_ROUNDING = 1e-9  # 0.29 of 100 is 29


class Cause(StrEnum):
    """Why an entry had to go. Also a metric label."""

    EVICTED = "evicted"  # worth least among what is lent
    RECLAIMED = "reclaimed"  # lent room that its category wants back
    SCOPE = "scope"  # its scope is at its cap


@dataclass(slots=True)
class Used:
    """What somebody holds."""

    entries: int = 0
    size_bytes: int = 0

    def add(self, size_bytes: int) -> None:
        """Count one entry more."""
        self.entries += 1
        self.size_bytes += size_bytes

    def take(self, size_bytes: int) -> None:
        """Count one entry less."""
        self.entries -= 1
        self.size_bytes -= size_bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """How much there is, and whose it is. Shares are parts of 1; quotas sum up to at most 1."""

    entries: int
    size_bytes: int | None = None  # of the stored answers; None = not bounded
    quotas: Mapping[str, float] = field(default_factory=dict)
    per_scope: float | None = None

    def guarantee(self, category: str) -> Used:
        """Return what ``category`` can always have; nothing without a quota."""
        return self._part(self.quotas.get(category, 0.0))

    @property
    def cap(self) -> Used | None:
        """Return what one scope may have at most, None when it may have all."""
        return None if self.per_scope is None else self._part(self.per_scope)

    def _part(self, share: float) -> Used:
        size_bytes = 0 if self.size_bytes is None else int(share * self.size_bytes + _ROUNDING)
        return Used(int(share * self.entries + _ROUNDING), size_bytes)


@dataclass(frozen=True, slots=True)
class Fits:
    """There is room."""


@dataclass(frozen=True, slots=True)
class TooLarge:
    """It cannot be held, whoever gives what was lent."""


@dataclass(frozen=True, slots=True)
class FromScope:
    """One entry of the same scope must go; then ask again."""


@dataclass(frozen=True, slots=True)
class FromCategories:
    """One entry of these categories must go; then ask again."""

    names: tuple[str, ...]
    cause: Cause


Claim = Fits | TooLarge | FromScope | FromCategories


@dataclass(frozen=True, slots=True)
class _Kind:
    """One of the two kinds of room, as one newcomer sees it."""

    limit: int
    wanted: int
    total: int
    held: Mapping[str, int]
    guaranteed: Mapping[str, int]
    of_scope: int
    cap: int | None

    @property
    def short(self) -> bool:
        return self.total + self.wanted > self.limit

    def over(self, category: str) -> int:
        return self.held[category] - self.guaranteed[category]


class Room:
    """Decides by ``limits``, which never change."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._guarantees: dict[str, Used] = {}
        self._cap = limits.cap

    def guarantee(self, category: str) -> Used:
        """Return what ``category`` can always have."""
        known = self._guarantees.get(category)
        if known is None:
            known = self._guarantees[category] = self.limits.guarantee(category)
        return known

    def claim(
        self,
        category: str,
        size_bytes: int,
        held: Mapping[str, Used],
        total: Used,
        of_scope: Used,
    ) -> Claim:
        """Decide about one more entry of ``category`` beside what is ``held`` by category.

        ``of_scope`` is what its scope holds. Ask again after each entry that went; ``TooLarge`` is
        never said after another verdict, so that nobody goes for an entry that does not come in.
        """
        limits = self.limits
        within_cap = self._cap is None or of_scope.entries < self._cap.entries
        if total.entries < limits.entries and within_cap and limits.size_bytes is None:
            return Fits()  # the usual case, without a look at the rest
        kinds = tuple(self._kinds(category, size_bytes, held, total, of_scope))
        if any(_too_large(kind, category) for kind in kinds):
            return TooLarge()
        if any(kind.cap is not None and kind.of_scope + kind.wanted > kind.cap for kind in kinds):
            return FromScope()
        for kind in kinds:
            if kind.short:
                return _from_categories(kind, category)
        return Fits()

    def _kinds(
        self,
        category: str,
        size_bytes: int,
        held: Mapping[str, Used],
        total: Used,
        of_scope: Used,
    ) -> Iterator[_Kind]:
        names = dict.fromkeys((*held, category))  # in order: who gives way is drawn from them
        guarantees = {name: self.guarantee(name) for name in names}
        cap = self._cap
        yield _Kind(
            self.limits.entries,
            1,
            total.entries,
            {name: held[name].entries if name in held else 0 for name in names},
            {name: part.entries for name, part in guarantees.items()},
            of_scope.entries,
            None if cap is None else cap.entries,
        )
        if self.limits.size_bytes is not None:
            yield _Kind(
                self.limits.size_bytes,
                size_bytes,
                total.size_bytes,
                {name: held[name].size_bytes if name in held else 0 for name in names},
                {name: part.size_bytes for name, part in guarantees.items()},
                of_scope.size_bytes,
                None if cap is None else cap.size_bytes,
            )


def _too_large(kind: _Kind, category: str) -> bool:
    """Say whether it would not fit even if everything lent were given back."""
    if kind.wanted > kind.limit or (kind.cap is not None and kind.wanted > kind.cap):
        return True
    kept = sum(
        min(held, kind.guaranteed[name]) for name, held in kind.held.items() if name != category
    )
    return kind.short and kept + kind.wanted > kind.limit


def _from_categories(kind: _Kind, category: str) -> FromCategories:
    others = [name for name in kind.held if name != category and kind.over(name) > 0]
    if kind.over(category) + kind.wanted <= 0:
        return FromCategories((max(others, key=kind.over),), Cause.RECLAIMED)
    own = (category,) if kind.held[category] else ()
    return FromCategories((*own, *others), Cause.EVICTED)
