"""What the shipped pair scorer was not trained on: misses in other words, hits to the letter."""

from __future__ import annotations

from typing import Any

import pytest

from tests.drivers import AsgiDriver, ScriptedUpstream
from tests.drivers.cached import KEY, proxied
from tests.drivers.models import artefacts

pytestmark = pytest.mark.anyio

LONG = "Please tell me in as many words as you can what I have to know about this. " * 6

# stored, the same in other words, a trap
TEXTS = {
    "German": (
        "Wie kann ich mein Passwort zurücksetzen?",
        "Wie setze ich mein Passwort zurück?",
        "Wie kann ich mein Passwort anzeigen?",
    ),
    "French": (
        "Comment annuler ma commande ?",
        "Comment puis-je annuler ma commande ?",
        "Comment suivre ma commande ?",
    ),
    "Spanish": (
        "¿Cómo puedo cancelar mi pedido?",
        "¿Cómo cancelo mi pedido?",
        "¿Cómo puedo cambiar mi pedido?",
    ),
    "code": (
        "for (i = 0; i < n; i++) { s += a[i] * b[i]; } // what is it?",
        "for (i = 0; i < n; ++i) { s += a[i] * b[i]; } // what is it?",
        "for (i = 1; i < n; i++) { s += a[i] * c[i]; } // what is it?",
    ),
    "long": (f"{LONG}What is rain?", f"{LONG}What's rain?", f"{LONG}What is snow?"),
}
CONFIG: dict[str, Any] = {
    "embedder": {"runtime": "onnx-int8", "artefacts": str(artefacts()), "deadline": "30s"},
    "judge": {"deadline": "30s"},
    "defaults": {"guards": False, "candidate_floor": 0.5, "min_probability": 0.01},
}


@pytest.mark.parametrize("kind", TEXTS)
async def test_only_the_same_text_is_a_hit(kind: str, upstream: ScriptedUpstream) -> None:
    stored, same, trap = TEXTS[kind]
    async with AsgiDriver(proxied(upstream.base_url, CONFIG)) as driver:
        await driver.chat(stored, headers=KEY)
        missed = [await driver.chat(text, headers=KEY) for text in (same, trap)]
        again = await driver.chat(stored, headers=KEY)
    assert [exchange.header("x-cache-reason") for exchange in missed] == ["unfamiliar"] * 2
    assert again.header("x-cache-tier") == "exact"
    assert upstream.count == 3


async def test_english_is_judged_under_the_same_policy(upstream: ScriptedUpstream) -> None:
    async with AsgiDriver(proxied(upstream.base_url, CONFIG)) as driver:
        await driver.chat("How do I cancel my order?", headers=KEY)
        hit = await driver.chat("How can I cancel an order?", headers=KEY)
    assert hit.header("x-cache-tier") == "semantic"
