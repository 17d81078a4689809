"""Types of single values in the policy file."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from .patterns import check_pattern

T = TypeVar("T")
DEFAULT = "default"  # the category of prompts that no rule and no example decided
NAME_PATTERN = r"^[a-z][a-z0-9_]{0,39}$"
VARIABLE_PATTERN = r"^([A-Za-z_][A-Za-z0-9_]*)?$"
CURRENCY_PATTERN = r"^[A-Za-z]{1,8}$"
SCORER_PATTERN = r"^\S{1,200}$"
TEXT_PATTERN = r"\S"
HEADER_PATTERN = r"^[A-Za-z0-9-]+$"
NAMESPACE_PATTERN = r"^[A-Za-z0-9_.-]{1,64}$"
SCOPE_PATTERN = r"^(credential|shared|header:[A-Za-z0-9-]+)$"


def _as_list(value: Any) -> Any:
    return (value,) if isinstance(value, dict | BaseModel) else value


def no_bool(value: Any) -> Any:
    """Refuse true and false, which Python takes for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("is not 1")  # noqa: TRY004 - pydantic reports ValueError
    return value


class _OneOrMany:
    """Writes "one mapping or a list of them" into the JSON Schema."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        many = handler(core)
        return {"anyOf": [many["items"], many]}


Similarity = Annotated[float, Field(ge=0.0, le=1.0)]
Probability = Annotated[float, Field(gt=0.0, lt=1.0)]
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Variable = Annotated[str, StringConstraints(pattern=VARIABLE_PATTERN)]
Text = Annotated[str, StringConstraints(pattern=TEXT_PATTERN)]
Pattern = Annotated[Text, AfterValidator(check_pattern)]
HeaderName = Annotated[str, StringConstraints(pattern=HEADER_PATTERN), AfterValidator(str.lower)]
Many = Annotated[tuple[T, ...], Field(strict=False)]  # a YAML list is not a tuple
OneOrMany = Annotated[Many[T], BeforeValidator(_as_list), _OneOrMany]


class Strict(BaseModel):
    """A settings object that refuses unknown keys, converts nothing and cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)
