"""Tells prompts that set aside what they ask, or tell the model what to say.

Whoever plants an answer under a prompt that stands near a popular question wants the model to say
something else than it would to that question, and must tell it so (Wu et al., "When Cache Poisoning
Meets LLM Systems", NDSS 2026). Two strengths: ``overrides`` are words that ordinary prompts hardly
ever hold; ``directs`` are common, and count only beside a further sign (``collision.py``). English:
in other languages the sign of ``collision.py`` stands alone.
"""

from __future__ import annotations

import re
import unicodedata

from .guards.reading import normal

LONGEST = 16_384  # characters read; instructions hidden behind more are not seen

_SET_ASIDE = r"(?:ignore|disregard|forget|override)"
_EARLIER = r"(?:previous|above|prior|preceding|earlier|before)"
_WHAT = rf"(?:{_EARLIER}|questions?|instructions?|system prompt|prompt)"
_SAID = r"(?:answer|reply|response|output)"
_ALL = r"(?:users?|people|customers?|callers?|visitors?)"
_OTHERS = rf"(?:every(?:one|body)|all (?:other |future |the )?{_ALL}|(?:other|future|later) {_ALL})"
_ASKERS = (
    r"(?:every(?:one|body)|any(?:one|body)|some(?:one|body)|whoever|(?:people|those|users) who|"
    r"(?:the )?next (?:person|user|one))"
)
_OVERRIDES = re.compile(
    "|".join(
        (
            # what stands before no longer counts
            rf"\b{_SET_ASIDE} (?:all |any |of |the |your |my |everything ){{0,6}}{_WHAT}\b",
            rf"[.?!:;]\s*{_SET_ASIDE} (?:that|this|it)\b",
            r"[.?!:;]\s*(?:scratch|strike|never ?mind) (?:that|this|the)\b",
            r"(?:^|[.?!:;\n]\s*)(?:override|new instructions?)\s*:",
            r"[.?!:;]\s*do(?: not|n't) answer (?:this|that|it|the question)\b",
            # what the answer must be, whatever is true
            r"\b(?:regardless of|no matter|whatever is) (?:the )?(?:truth|true|facts)\b",
            rf"\b(?:the|your) (?:only )?{_SAID} (?:must|should|shall|has to) be\b",
            r"\b(?:answer|reply|respond) (?:only )?(?:with the words?|exactly)\b",
            r"[.?!:;]\s*(?:say|output|print|write|reply with|repeat) exactly\b",
            r"\byou (?:now |must |will )+(?:answer|reply to|respond to) (?:every|all|each|any)\b",
            # the cache, and who else will read it
            rf"\b(?:cache|store|remember|memori[sz]e) (?:this|that|your) {_SAID}\b",
            rf"\b(?:serve|send|show) (?:it|this|that|the {_SAID}) to {_OTHERS}\b",
            rf"\bfor {_OTHERS} (?:the|your) {_SAID}\b",
            rf"\b{_ASKERS} (?:who )?(?:later )?(?:asks?|asking) (?:this|that|it|the|should|must)\b",
            # marks of a chat's template, and roles that a user's text cannot have
            r"<\|\s*/?(?:im_start|im_end|system|assistant|user|endoftext|eot_id|start_header_id)\b",
            r"\[/?inst\]|<</?sys>>",
            r"\n\s*#{2,}\s*(?:instruction|response|system|assistant)\s*:",
            r"\n\s*(?:system|assistant)\s*:",
        )
    )
)
_DIRECTS = re.compile(
    r"(?:^|[.?!:;,\n]\s*|\b(?:so|and|but|then|just|please|only|instead|always|must|should)\s+)"
    r"(?:just |only |please |instead |always |simply ){0,4}"
    r"(?:say|tell|claim|state|mention|recommend|insist|convince|pretend|assume|suppose|imagine|"
    r"pra(?:ise|y)|advise|promise|announce|declare|repeat|output|print|respond|reply|answer|explain|"
    r"give|use|take|include|point|send|sell|write|name|add|leak|list|make|be|stay|act|behave)\b"
    r"|\byou are (?:a|an|the|now)\b|\bfor a (?:novel|story|film|game)\b|\bin an alternate\b"
    r"|\bfrom now on\b|\bonly (?:way|method|phone|number|site|address)\b|\bmust\b|\binstead\b"
)


def overrides(text: str) -> bool:
    """Say whether ``text`` sets aside what it asks, or speaks to a cache or of its other users."""
    return _OVERRIDES.search(_read(text)) is not None


def directs(text: str) -> bool:
    """Say whether ``text`` tells the model what to say. Many an honest prompt does."""
    return _DIRECTS.search(_read(text)) is not None


def _read(text: str) -> str:
    """Return ``text`` as it would be read aloud: no invisible characters, one kind of space."""
    text = normal(text[:LONGEST])
    if not text.isascii():
        text = "".join(char for char in text if unicodedata.category(char) != "Cf")
    lines = (" ".join(line.split()) for line in text.casefold().splitlines())
    return "\n".join(line for line in lines if line)
