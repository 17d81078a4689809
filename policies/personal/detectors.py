"""What personal data looks like, kind by kind, and what tells it from other numbers.

A pattern proposes; a check, where there is one, decides: a sum of digits, or a library that knows
the rules of a country (``python-stdnum``, ``phonenumbers``). These are loaded when first needed.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from .sums import IBAN_LENGTHS, luhn, mod_97

# How many characters of what the pattern proposed are personal data; 0 = none.
Check = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Detector:
    """One form of one kind. ``pattern`` holds in RE2 and in Python alike."""

    kind: str
    pattern: str
    check: Check = len


CARD = r"\d{13,19}|(?:\d{4}[ -]){4}\d{3}|(?:\d{4}[ -]){3}\d{1,7}|\d{4}[ -]\d{6}[ -]\d{4,5}"
IBAN = r"[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}"
EMAIL = r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}"
PHONES = (
    (r"\+\d(?:[ ().-]{0,2}\d){6,14}", ""),
    (r"00[1-9](?:[ ().-]{0,2}\d){6,13}", ""),
    (r"(?:1[ .-])?\(?[2-9]\d{2}\)?[ .-]{1,2}[2-9]\d{2}[ .-]\d{4}", "US"),
)
KEYS = (
    r"sk-[A-Za-z0-9_-]{20,}",
    r"(?:sk|rk)_(?:live|test)_[0-9A-Za-z]{16,}",
    r"gh[pousr]_[A-Za-z0-9]{36,}",
    r"github_pat_[A-Za-z0-9_]{22,}",
    r"glpat-[A-Za-z0-9_-]{20,}",
    r"(?:AKIA|ASIA)[0-9A-Z]{16}",
    r"AIza[0-9A-Za-z_-]{35}",
    r"xox[abeoprs]-[A-Za-z0-9-]{10,}",
    r"hf_[A-Za-z0-9]{30,}",
    r"npm_[A-Za-z0-9]{36}",
    r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}",
    r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
)
_KEY_LINE = r"[A-Z ]{0,30}PRIVATE KEY-----"
PRIVATE_KEY = rf"-----BEGIN {_KEY_LINE}(?s:.*?-----END {_KEY_LINE}|.*)"
# Forms that are told from other numbers by their shape and their check digits. A bare number of
# nine or ten digits is none: one in eleven would be taken for somebody's.
NATIONAL = (
    ("us.ssn", r"\d{3}-\d{2}-\d{4}"),
    ("gb.nhs", r"\d{3} \d{3} \d{4}"),
    ("de.idnr", r"\d{2} ?\d{3} ?\d{3} ?\d{3}"),
    ("fr.nir", r"[12] ?\d{2} ?\d{2} ?\d{2} ?\d{3} ?\d{3} ?\d{2}"),
    ("es.dni", r"\d{8}-?[A-Z]"),
    ("es.nie", r"[XYZ]-?\d{7}-?[A-Z]"),
    ("it.codicefiscale", r"[A-Z]{6}\d{2}[A-Z]\d{2}[A-Z]\d{3}[A-Z]"),
    ("pl.pesel", r"\d{11}"),
    ("se.personnummer", r"\d{6}(?:\d{2})?[+-]\d{4}"),
    ("dk.cpr", r"\d{6}-\d{4}"),
    ("fi.hetu", r"\d{6}[-+A]\d{3}[0-9A-Z]"),
    ("be.nn", r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}"),
    ("ch.ssn", r"756\.\d{4}\.\d{4}\.\d{2}"),
    ("br.cpf", r"\d{3}\.\d{3}\.\d{3}-\d{2}"),
    ("in_.aadhaar", r"\d{4} \d{4} \d{4}"),
    ("kr.rrn", r"\d{6}-\d{7}"),
    ("cn.ric", r"\d{17}[0-9X]"),
)
BRITISH = r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]"  # no check digit

_NO_PERSONS_DOMAIN = re.compile(
    r"@(?:.*\.)?(?:example(?:\.(?:com|net|org))?|test|invalid|localhost)$", re.IGNORECASE
)  # RFC 2606
_NO_PERSONS_NAME = frozenset({"git", "noreply", "no-reply"})


def detectors(kinds: frozenset[str]) -> Iterator[Detector]:
    """Yield the forms of ``kinds``. Raises ``ImportError`` where a library is missing."""
    if "secret" in kinds:
        yield from (Detector("secret", pattern, _key) for pattern in KEYS)
        yield Detector("secret", PRIVATE_KEY)
    if "iban" in kinds:
        yield Detector("iban", IBAN, _iban)
    if "card" in kinds:
        yield Detector("card", CARD, _card)
    if "email" in kinds:
        yield Detector("email", EMAIL, _email)
    if "national_id" in kinds:
        yield Detector("national_id", BRITISH)
        for name, pattern in NATIONAL:
            is_valid = importlib.import_module(f"stdnum.{name}").is_valid
            yield Detector("national_id", pattern, partial(_valid, is_valid))
    if "phone" in kinds:
        importlib.import_module("phonenumbers")
        yield from (Detector("phone", found, partial(_phone, where)) for found, where in PHONES)


def _valid(is_valid: Callable[[str], bool], text: str) -> int:
    return len(text) if is_valid(text) else 0


def _card(text: str) -> int:
    if _is_card(text):
        return len(text)
    first = text[:-4]  # of 4-4-4-4-3 the last may be the code on the back
    return len(first) if len(text) == 23 and _is_card(first) else 0


def _is_card(text: str) -> bool:
    digits = "".join(filter(str.isdigit, text))
    issued = digits[0] in "3456" or "2221" <= digits[:4] <= "2720"
    return issued and len(set(digits)) > 1 and luhn(digits)


def _iban(text: str) -> int:
    length = IBAN_LENGTHS.get(text[:2].upper(), 0)
    account = ""
    for position, character in enumerate(text, start=1):
        if not character.isalnum():
            continue
        account += character.upper()
        if len(account) == length:
            ends = not text[position : position + 1].isalnum()
            return position if ends and mod_97(account) else 0
    return 0


def _email(text: str) -> int:
    name = text.partition("@")[0].lower()
    return 0 if name in _NO_PERSONS_NAME or _NO_PERSONS_DOMAIN.search(text) else len(text)


def _key(text: str) -> int:
    """Take words with hyphens for none: a key has digits and letters."""
    return len(text) if any(map(str.isdigit, text)) and any(map(str.isalpha, text)) else 0


def _phone(region: str, text: str) -> int:
    """Try the whole, then less of it: another number may follow a phone's."""
    import phonenumbers  # noqa: PLC0415 - an optional package, 60 ms

    while sum(map(str.isdigit, text)) >= 7:
        number = f"+{text[2:]}" if text.startswith("00") else text
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(number, region or None)):
                return len(text)
        except phonenumbers.NumberParseException:
            return 0
        shorter = text.rstrip("0123456789").rstrip(" ().-")
        text = shorter if shorter != text else ""
    return 0
