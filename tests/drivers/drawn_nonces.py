"""Nonces that can be drawn again, so that Hypothesis meets the same machine twice."""

from __future__ import annotations

import secrets
from random import Random

import pytest


def draw_nonces_again(patch: pytest.MonkeyPatch, seed: int = 1) -> None:
    """Make ``secrets`` give the same bytes in the same order, until ``patch`` is undone."""
    dice = Random(seed)
    patch.setattr(secrets, "token_bytes", lambda count=32: dice.randbytes(count))
    patch.setattr(secrets, "token_hex", lambda count=32: dice.randbytes(count).hex())
