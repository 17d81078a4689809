"""Settings: the shape of the one YAML file. Descriptions say what a key does and why its default.

Pure values. Reading files is ``load.py``; turning a category's settings into decisions is the
``policies`` package. What spans several keys (quotas, order of rules) is ``cross_checks.py``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from .category_settings import Category, CategoryFields, Defaults, Effective
from .economics_settings import EconomicsSettings
from .freshness_settings import FreshnessSettings
from .judging_settings import Classifier, EvidenceSettings, JudgeSettings
from .load_settings import LoadSettings
from .service_settings import (
    CapacitySettings,
    EmbedderSettings,
    HttpSettings,
    Normalisation,
    ScopeSettings,
    StoreSettings,
    TrustSettings,
    UpstreamSettings,
)
from .snapshot_settings import SnapshotSettings
from .value_types import DEFAULT, Many, Name, Strict, no_bool


class Settings(Strict):
    """The whole file."""

    version: Annotated[Literal[1], BeforeValidator(no_bool)] = Field(
        default=1, description="Version of this file's format."
    )
    upstream: UpstreamSettings = UpstreamSettings()
    store: StoreSettings = StoreSettings()
    snapshot: SnapshotSettings = SnapshotSettings()
    embedder: EmbedderSettings = EmbedderSettings()
    scope: ScopeSettings = ScopeSettings()
    trust: TrustSettings = TrustSettings()
    capacity: CapacitySettings = CapacitySettings()
    http: HttpSettings = HttpSettings()
    normalise: Many[Normalisation] = Field(
        default=(),
        description="Blanks what changes in system prompts without changing answers, in order.",
    )
    classifier: Classifier = Classifier()
    judge: JudgeSettings = JudgeSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    load: LoadSettings = LoadSettings()
    freshness: FreshnessSettings = FreshnessSettings()
    economics: EconomicsSettings = EconomicsSettings()
    defaults: Defaults = Defaults()
    categories: dict[Name, Category] = Field(
        default_factory=dict,
        description="Kinds of prompts by name, in order. One named `default` decides for prompts "
        "of no other.",
    )

    def effective(self, name: str) -> Effective:
        """Return the policy of category ``name`` with everything resolved.

        ``"default"`` always exists. Raises ``KeyError`` for an unknown name. Builds a new object
        each time: call it at start, not per request.
        """
        if name not in self.categories and name != DEFAULT:
            raise KeyError(name)
        category = self.categories.get(name, Category())
        own = {
            field: value
            for field in CategoryFields.model_fields
            if (value := getattr(category, field)) is not None
        }
        inherited = {field: getattr(self.defaults, field) for field in CategoryFields.model_fields}
        return Effective(
            **{**inherited, **own},
            name=name,
            quota=category.quota,
            priority=category.priority,
            under_load=category.under_load,
        )

    @property
    def category_names(self) -> tuple[str, ...]:
        """Every category in the file's order; ``"default"`` comes last unless listed."""
        names = tuple(self.categories)
        return names if DEFAULT in names else (*names, DEFAULT)
