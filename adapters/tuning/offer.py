"""From proposals to a changed policy file, checked, and its difference from the old one. Pure."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Sequence
from typing import Any

from ...config.category_settings import Category
from ...config.load import ConfigError, loads
from ...config.settings import Settings
from ...config.value_types import DEFAULT
from .propose import Finding, Proposal, served_by_meaning
from .yaml_edit import EditError, Setting, edited

_END = "\n"
_NO_END = "\n\\ No newline at end of file\n"
BAR, MODE, SHADOW = "min_probability", "mode", "shadow"


def offered(text: str, settings: Settings, proposals: Sequence[Proposal], day: str) -> str:
    """Return the text of the policy file with all that ``proposals`` change; the same if nothing.

    ``settings`` are what ``text`` says now; ``day`` goes into comments. Raises ``EditError`` when
    the file cannot be edited so that it says exactly the proposed bars and nothing else new.
    """
    changes = changes_of(settings, proposals, day)
    if not changes:
        return text
    new = edited(text.removeprefix("\ufeff"), changes)
    try:
        after = loads(new, "the edited file")
    except ConfigError as exc:
        raise EditError(str(exc)) from exc
    moved = [
        one.finding is not Finding.NOT_BY_MEANING
        and _effective(after, one.category) != _wanted(settings, one)
        for one in proposals
    ]
    if after.model_dump() != _with(settings, changes) or any(moved):
        raise EditError("the edited file would say more than what is proposed")
    return new if new[:1] == text[:1] else text[0] + new


def changes_of(settings: Settings, proposals: Sequence[Proposal], day: str) -> list[Setting]:
    """Say where in the policy file each change belongs.

    What the default category shall have goes to ``defaults`` if no other category's policy moves
    with it; else it becomes a category of its own. Those that shall have the same, and inherit it,
    by the same evidence of all categories need no line of their own then.
    """
    changes = {one.category: found for one in proposals if (found := _change(settings, one, day))}
    of_default = changes.get(DEFAULT)
    if of_default is None or DEFAULT in settings.categories:
        return list(changes.values())
    key = of_default.path[-1]
    heirs = [
        name
        for name, category in settings.categories.items()
        if getattr(category, key) is None and served_by_meaning(settings, name)
    ]
    if all(name in changes and changes[name].path[-1] == key for name in heirs):
        pooled = {one.category for one in proposals if one.finding is Finding.POOLED}
        for name in heirs:
            if {name, DEFAULT} <= pooled and changes[name].value == of_default.value:
                del changes[name]
        changes[DEFAULT] = Setting(("defaults", key), of_default.value, of_default.comment)
    return list(changes.values())


def unified(old: str, new: str, name: str) -> str:
    """Return the difference as ``patch`` reads it; empty when there is none."""
    before, after = (re.findall(r"[^\n]*\n|[^\n]+$", text) for text in (old, new))
    lines = difflib.unified_diff(before, after, name, name)
    # The last line of a file may have no end, which only the next line of a difference can say.
    return "".join(f"{line}{'' if line.endswith(_END) else _NO_END}" for line in lines)


def percent(share: float) -> str:
    """Write a bound in percent, two digits, rounded up: it holds for what is written."""
    if share <= 0.0:
        return "0 %"
    step = 10.0 ** (math.floor(math.log10(share)) - 1)
    return f"{100 * min(1.0, math.ceil(round(share / step, 6)) * step):.3g} %"


def evidence(proposal: Proposal) -> str:
    """Say in a few words what speaks for a change; no date."""
    bar = proposal.bar
    if bar is None:
        wrong, seen = proposal.at_bar
        return f"{wrong:,} wrong of {seen:,} from {proposal.in_force:.6g} on, and no bar holds"
    whose = "all categories: " if proposal.finding is Finding.POOLED else ""
    return f"{whose}{bar.wrong:,} wrong of {bar.accepts:,}, at most {percent(bar.upper)}"


def _change(settings: Settings, proposal: Proposal, day: str) -> Setting | None:
    if _wanted(settings, proposal) == _effective(settings, proposal.category):
        return None
    bar, mode = _wanted(settings, proposal)
    key, value = (MODE, mode) if proposal.proposed is None else (BAR, f"{bar:.6f}".rstrip("0"))
    name = proposal.category
    return Setting(("categories", name, key), value, f"{evidence(proposal)}, {day}")


def _wanted(settings: Settings, proposal: Proposal) -> tuple[float, str]:
    bar, mode = _effective(settings, proposal.category)
    if proposal.finding is Finding.CLOSED:
        return bar, SHADOW
    return bar if proposal.proposed is None else proposal.proposed, mode


def _effective(settings: Settings, name: str) -> tuple[float, str]:
    policy = settings.effective(name)
    return policy.min_probability, policy.mode


def _with(settings: Settings, changes: Sequence[Setting]) -> dict[str, Any]:
    """Return the values of ``settings`` with ``changes``."""
    values = settings.model_dump()
    for change in changes:
        *outer, key = change.path
        holder = values
        for name in outer:
            holder = holder.setdefault(name, Category().model_dump())
        holder[key] = float(change.value) if key == BAR else change.value
    return values
