"""Direct opposites: one prompt says "enable", the other "disable"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# One line an axis, its two sides apart by "/". Verbs are given in their base form.
_AXES = """
enable activate / disable deactivate
start begin launch / stop end finish terminate halt
increase raise grow boost / decrease reduce lower cut shrink
add insert append create / remove delete destroy drop
allow permit / deny forbid block prohibit disallow
approve accept / reject deny decline refuse
grant / revoke
agree support / disagree oppose
confirm / cancel deny
keep retain / discard remove delete
buy purchase / sell
rent lease / own
lend / borrow
open / close shut
show reveal / hide conceal
send / receive
push / pull
import / export
upload / download
encrypt / decrypt
encode / decode
compress / decompress
attach / detach
join enter / leave exit quit
join merge combine / split divide separate
expand broaden widen / collapse narrow
pause suspend / resume continue
promote / demote
upgrade / downgrade
hire / fire dismiss
deposit / withdraw
gain win profit / lose loss
pass succeed / fail
encourage / discourage
include / exclude
strengthen / weaken
accelerate speed / decelerate slow delay
heat warm / cool chill
rise climb ascend / fall sink descend drop
arrive arrival / depart departure
inbound incoming ingress / outbound outgoing egress
internal inner inside interior / external outer outside exterior
input / output
read / write
before prior / after
earlier earliest / later latest
first / last
oldest / newest latest
above upper / below under beneath lower
more most / less least fewer fewest
high higher highest / low lower lowest
large larger largest big bigger biggest / small smaller smallest little
long longer longest / short shorter shortest
fast faster fastest quick / slow slower slowest
strong stronger / weak weaker
hot hotter / cold colder
cheap cheaper cheapest / expensive
good better best / bad worse worst
easy easier easiest / hard harder hardest difficult
light lighter / heavy heavier
maximum max maximize / minimum min minimize
ascending / descending
positive / negative
advantage benefit pro / disadvantage drawback con
true / false
public / private
legal lawful / illegal unlawful
left / right
up / down
horizontal / vertical
row / column
uppercase / lowercase
north northern / south southern
east eastern / west western
debit / credit
asset / liability
male / female
optimistic / pessimistic
always / never
"""
_VOWELS = frozenset("aeiou")
# Verbs whose particle carries the meaning: "turn on", "turn the light off", "logged out".
_PARTICLES = re.compile(
    r"\b(?:(?:turn|switch|power|toggle)(?:s|ed|ing)?[ -]?(?:[\w']{1,20} ){0,3}?(on|off)"
    r"|(?:log|sign|opt|check|clock|zoom)(?:s|ed|ing|ged|ging|ted|ting)?[ -]?"
    r"(?:[\w']{1,20} ){0,3}?(in|into|out))\b"
)
_IN_OUT, _ON_OFF = 1, 2


def _forms(word: str) -> Iterable[str]:
    """Return an English word's regular forms; some are no words, which does no harm."""
    yield word
    yield word + "s"
    root = word[:-1] if word[-1] == "e" else word
    yield from (root + "ed", root + "ing", root + "es")
    if word[-1] not in _VOWELS and word[-2:-1] and word[-2] in _VOWELS:
        yield from (word + word[-1] + "ed", word + word[-1] + "ing")
    if word[-1] == "y":
        yield from (word[:-1] + "ies", word[:-1] + "ied")


def _sides() -> dict[str, tuple[int, ...]]:
    table: dict[str, tuple[int, ...]] = {}
    for axis, line in enumerate(_AXES.strip().splitlines(), start=_ON_OFF + 1):
        for side, listed in zip((axis, -axis), line.split("/"), strict=True):
            for word in listed.split():
                for form in _forms(word):
                    table[form] = tuple(dict.fromkeys((*table.get(form, ()), side)))
    return table


_SIDES = _sides()


def sides(folded: str, words: Iterable[str]) -> tuple[int, ...]:
    """Return the sides that case-folded text takes: n and -n are opposites."""
    found = {side for word in words if word in _SIDES for side in _SIDES[word]}
    for on_off, in_out in _PARTICLES.findall(folded):
        axis = _ON_OFF if on_off else _IN_OUT
        found.add(-axis if "off" in on_off or "out" in in_out else axis)
    return tuple(sorted(found)) if found else ()


def opposed(mine: Sequence[int], stored: Sequence[int]) -> bool:
    """Say whether one prompt takes a side, the other its opposite, and neither takes both."""
    return any(-side in stored and side not in stored and -side not in mine for side in mine)
