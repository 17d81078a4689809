"""What decides: the classifier, the pair scorer, and what is learnt about their errors."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .units import Duration, Share
from .value_types import SCORER_PATTERN, Similarity, Strict, Variable


class JudgeSettings(Strict):
    """What decides, after similarity and guards, whether a stored answer fits."""

    scorer: str = Field(
        default="shipped",
        pattern=SCORER_PATTERN,
        description="`shipped`: the pair scorer that comes with kindcache; without its weights "
        "the guards decide alone. `none`: the same. An http:// or https:// address: a service "
        "that is asked, see `docs/judge.md`. Else the name or path of a sentence-transformers "
        "CrossEncoder with one output.",
    )
    api_key_env: Variable = Field(
        default="",
        description="scorer: an address. Name of the environment variable that holds its key.",
    )
    score: Literal["probability", "log_odds"] = Field(
        default="probability",
        description="scorer: an address. What it answers: 0 to 1, or any number, 0 = even odds.",
    )
    deadline: Duration = Field(default=0.5, description="For one pair; past it the call is a miss.")
    queue: int = Field(default=64, ge=1, description="Waiting pairs; past it the call is a miss.")

    @property
    def is_remote(self) -> bool:
        """Say whether ``scorer`` is the address of a service."""
        return self.scorer.startswith(("http://", "https://"))


class EvidenceSettings(Strict):
    """What is learnt from traffic about how often hits are wrong."""

    feedback: bool = Field(
        default=True,
        description="`POST /_cache/feedback` takes verdicts on hits from whoever got them.",
    )
    compare: Literal["none", "similarity", "model"] = Field(
        default="none",
        description="How a fresh answer is compared with the stored one that would have been "
        "served: not at all, by the similarity of the two answers, or by asking a model "
        "yes or no through the upstream.",
    )
    min_answer_similarity: Similarity = Field(
        default=0.9,
        description="compare: similarity. From which on two answers count as the same.",
    )
    judge_model: str = Field(
        default="", description="compare: model. Name of the upstream's model that is asked."
    )
    verify_share: Share | None = Field(
        default=None,
        description="Share of hits by meaning that are checked in the background: the upstream "
        "is asked too, with the caller's own credential. Not set: none, as it costs calls.",
    )
    verify_per_day: int = Field(
        default=200, ge=0, description="Most calls of our own in a day, checks and judging."
    )
    window: Duration = Field(
        default=30 * 86400.0,
        description="Older evidence no longer counts: traffic and models change.",
    )


class Classifier(Strict):
    """How examples decide a category when no rule does."""

    min_similarity: Similarity = Field(
        default=0.35,
        description="Needed to the nearest example; below it the prompt is of no category. "
        "Unrelated prompts rarely reach it with the default model.",
    )
    margin: Similarity = Field(
        default=0.03,
        description="Needed ahead of the next category's nearest example; less is undecided.",
    )
    others: bool = Field(
        default=True,
        description="Search what other categories stored too, under the stricter of both "
        "policies: one question in two wordings may fall into two categories.",
    )
