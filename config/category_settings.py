"""What a category decides: the heart of the policy file."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from .units import Duration, Share
from .value_types import (
    HeaderName,
    Many,
    OneOrMany,
    Pattern,
    Probability,
    Similarity,
    Strict,
    Text,
)

Sampled = Literal["exact", "semantic", "bypass"]
History = Literal["exact", "equivalent"]
PersonalData = Literal["allow", "refuse", "redact"]
PersonalKind = Literal["card", "iban", "national_id", "email", "phone", "secret"]
PERSONAL_KINDS: tuple[PersonalKind, ...] = get_args(PersonalKind)
Vectors = Literal["float32", "float16", "int8"]
TimeWords = Literal["ignore", "shorten", "bar"]


class Rule(Strict):
    """Conditions that must all hold; at least one rule of a category must match."""

    path: Text | None = Field(default=None, description="Shell glob on the request's path.")
    model: Text | None = Field(default=None, description="Shell glob on the model's name.")
    header: dict[HeaderName, str] | None = Field(
        default=None,
        min_length=1,
        description="Request headers and their values. Counts only from trusted callers.",
    )
    metadata: dict[str, str] | None = Field(
        default=None, min_length=1, description="Fields of the request's `metadata` object."
    )
    pattern: Pattern | None = Field(
        default=None, description="RE2 expression searched in the last user text."
    )


class UnderLoad(Strict):
    """Where a category's figures are while the model is fully loaded; linear in between."""

    min_probability: Annotated[float, Field(ge=0.5, lt=1.0)] | None = Field(
        default=None,
        description="The bar where a scorer decides. At least 0.5: below it most hits are wrong.",
    )
    similarity_threshold: Similarity | None = Field(
        default=None, description="The bar where no scorer decides."
    )
    ttl: Duration | None = Field(default=None, description="How long an answer then lives.")


class CategoryFields(Strict):
    """What a category decides. A key left out is as in ``defaults``."""

    similarity_threshold: Similarity | None = Field(
        default=None,
        description="Cosine similarity a stored prompt must reach where no scorer decides.",
    )
    candidate_floor: Similarity | None = Field(
        default=None, description="Cosine similarity from which on the scorer is asked."
    )
    min_probability: Probability | None = Field(
        default=None, description="Probability of the same answer from which on it is served."
    )
    max_error_rate: Share | None = Field(
        default=None,
        description="Wrong hits / hits, such as 1%. Where enough evidence is there (`evidence`), "
        "the bar is the lowest whose one-sided 95 % upper bound stays within it; until then "
        "`min_probability` holds.",
    )
    mode: Literal["serve", "shadow"] | None = Field(
        default=None,
        description="shadow: what would have been a hit by meaning is recorded, and the model "
        "answers.",
    )
    ttl: Duration | None = Field(
        default=None, description="How long an answer lives, from its creation; hits renew nothing."
    )
    ttl_jitter: Share | None = Field(
        default=None,
        le=0.5,
        description="Share of the TTL by which an answer may live shorter, at most 50%. Each "
        "answer's own is drawn from its key, so that answers of one moment do not all end at once.",
    )
    time_words: TimeWords | None = Field(
        default=None,
        description='Prompts that speak of now ("today", "latest", "this week", a date, this year; '
        "English). shorten: their answers live for `time_words_ttl` at most and are never served "
        "stale. bar: such calls pass through, nothing is stored.",
    )
    time_words_ttl: Duration | None = Field(
        default=None, description="time_words: shorten. How long their answers live at most."
    )
    stale_while_revalidate: Duration | None = Field(
        default=None,
        description="How long past its life an answer is still served at once, while it is "
        "refreshed in the background with the caller's credential (`freshness`).",
    )
    stale_if_error: Duration | None = Field(
        default=None,
        description="How long past its life an answer is served where the model fails: 5xx, "
        "no connection, or no answer in time.",
    )
    cache: bool | None = Field(
        default=None, description="false: neither looked up nor stored; calls pass through."
    )
    semantic: bool | None = Field(
        default=None, description="false: only identical prompts are answered from the cache."
    )
    history: History | None = Field(
        default=None,
        description="Earlier turns of a conversation. exact: they must be the same to the letter. "
        "equivalent: the user's earlier turns may be in other words, where guards and scorer "
        "accept every one of them; the answers in between stay exact. Needs the scorer.",
    )
    vectors: Vectors | None = Field(
        default=None,
        description="How vectors are kept in memory. float16 halves and int8 quarters what one "
        "takes; a similarity is then stated 0.0005 and about 0.003 too low, never too high, and a "
        "search among 100,000 takes some 0.1 ms longer (`docs/performance.md`). Both need the "
        "extra `compact`.",
    )
    guards: bool | None = Field(
        default=None,
        description="Refuse near prompts that differ in a number, a negation, a quoted string or a "
        "code identifier.",
    )
    poisoning_check: bool | None = Field(
        default=None,
        description="false: prompts that look made to answer for other prompts are matched by "
        "meaning too (`docs/security.md`).",
    )
    personal_data: PersonalData | None = Field(
        default=None,
        description="Calls whose user texts hold personal data. allow: as any other. refuse: "
        "neither looked up nor stored. redact: matched to the letter alone, under a keyed digest, "
        "and stored with placeholders for the values. Under both no answer that holds some is "
        "stored (`docs/security.md`).",
    )
    personal_kinds: Annotated[Many[PersonalKind], Field(min_length=1)] | None = Field(
        default=None,
        description="What counts as personal data. `secret`: API keys and private keys. `phone` "
        "and `national_id` need the extra `personal`.",
    )
    max_temperature: float | None = Field(
        default=None, ge=0.0, le=2.0, description="Calls above it are treated as `sampled` says."
    )
    sampled: Sampled | None = Field(
        default=None,
        description="Calls with a seed or above `max_temperature`: identical prompts only, as any "
        "other, or not cached.",
    )
    tool_answers: bool | None = Field(default=None, description="Store answers that call tools.")
    share_sampled: bool | None = Field(
        default=None,
        description="Identical calls at the same time with a temperature above 0 share one answer.",
    )


class Defaults(CategoryFields):
    """What categories inherit, and the policy of prompts of no category."""

    similarity_threshold: Similarity = Field(
        default=0.95, description="Strict: what no category claims is what is known least about."
    )
    candidate_floor: Similarity = Field(
        default=0.7,
        description="Below it the scorer finds little that is right, and errs more often.",
    )
    min_probability: Probability = Field(
        default=0.94,
        description="What the pairs held back from training certify for 1 % wrong hits, rounded "
        "up, by the rule of `max_error_rate` (`training/calibrate.py` prints it).",
    )
    max_error_rate: Share | None = Field(
        default=None, description="Not set: `min_probability` is the bar, whatever is learnt."
    )
    mode: Literal["serve", "shadow"] = Field(
        default="serve", description="What is found is served; a new category may start in shadow."
    )
    ttl: Duration = Field(default=3600.0, description="Short, for the same reason.")
    ttl_jitter: Share | None = Field(
        default=None, le=0.5, description="Not set: every answer lives for the whole TTL."
    )
    time_words: TimeWords = Field(
        default="ignore", description="A short TTL of the category says the same without reading."
    )
    time_words_ttl: Duration = Field(
        default=300.0, description="As the shipped policy for prices: what is true now."
    )
    stale_while_revalidate: Duration | None = Field(
        default=None, description="Not set: none, as it makes calls of our own."
    )
    stale_if_error: Duration | None = Field(
        default=None, description="Not set: an error of the model reaches the caller."
    )
    cache: bool = Field(default=True, description="Cached, under the strict bar above.")
    semantic: bool = Field(default=True, description="Matched by meaning, under the strict bar.")
    history: History = Field(
        default="exact",
        description="Every turn that may differ is one more that may be judged wrongly.",
    )
    vectors: Vectors = Field(default="float32", description="Exact, and the quickest to search.")
    guards: bool = Field(
        default=True, description="Similarity alone cannot see a negation or another number."
    )
    poisoning_check: bool = Field(
        default=True,
        description="Runs after the answer was sent; costs next to no ordinary prompt its hits.",
    )
    personal_data: PersonalData = Field(
        default="allow",
        description="What may be kept is for the operator to say; callers of other scopes never "
        "see it.",
    )
    personal_kinds: Annotated[Many[PersonalKind], Field(min_length=1)] = Field(
        default=PERSONAL_KINDS, description="All that can be told."
    )
    max_temperature: float = Field(
        default=1.0, ge=0.0, le=2.0, description="The wire protocol's own default temperature."
    )
    sampled: Sampled = Field(
        default="exact", description="Who raises the temperature or sets a seed wants that call."
    )
    tool_answers: bool = Field(
        default=False,
        description="A tool call acts on the world; replaying it acts again.",
    )
    share_sampled: bool = Field(
        default=False, description="Two callers who sample expect two samples."
    )


class Category(CategoryFields):
    """One kind of prompt."""

    match: OneOrMany[Rule] = Field(
        default=(), description="One rule or a list, tried in the file's order before any example."
    )
    examples: Many[Text] = Field(
        default=(), description="Prompts of this kind; the nearest example decides a category."
    )
    quota: Share | None = Field(
        default=None, description="Share of the capacity that is kept for it. All: at most 100 %."
    )
    priority: float = Field(
        default=1.0, gt=0.0, description="Weight against others when room is short."
    )
    under_load: UnderLoad | None = Field(
        default=None,
        description="How far a loaded model may lower the bars and stretch the TTL, see "
        "`docs/policies.md`. Not set: not at all, since a wrong answer is no better when the model "
        "is busy. With `max_error_rate` only the TTL.",
    )


class Effective(Defaults):
    """A category's resolved policy: nothing is inherited any more."""

    name: str
    quota: float | None = None
    priority: float = 1.0
    under_load: UnderLoad | None = None
