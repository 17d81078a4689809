"""Questions for the overhead benchmark: many, of one kind, each with other wordings.

About 11 tokens each with the default model. The shipped policies put nearly all of them in the
category ``CATEGORY`` by its examples, so that they fill one index; nouns that do not land there are
left out, and so are words that the pair scorer takes for one ("change" and "update"). A question
and its other wordings have a cosine above 0.97, two questions rarely 0.95.
"""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import dataclass

CATEGORY = "support"
FIRST = "How do I {} the {} for my {}?"
OTHERS = ("How can I {} the {} for my {}?", "So how do I {} the {} for my {}?")

VERBS = (
    "cancel pay order sell return reset claim donate change renew report dispute lend resend "
    "verify insure pause transfer download refuse archive inspect postpone"
).split()
NOUNS = (
    "subscription|invoice|delivery address|payment method|billing address|refund|"
    "shipping option|receipt|customer account|password"
).split("|")
THINGS = (
    "garden tools|running shoes|coffee machine|kids' bike|wedding dress|office chair|laptop|"
    "music lessons|gym|magazine|hotel room|car insurance|cat food|winter jacket|birthday cake|"
    "camera lens|train ticket|internet line|mattress|cooking class|dining table|washing machine|"
    "guitar|contact lenses|tent|headphones|paint|vacuum cleaner|necklace|skis|bookshelf|sunglasses|"
    "perfume|fridge|piano|tablet|blender|carpet|bicycle helmet|fishing rod|phone case|printer ink|"
    "sofa|toaster|wallpaper|watch|boots|lamp|drill|suitcase|curtains|keyboard|baby seat|violin|"
    "umbrella|kayak|telescope|microphone|oven|dishwasher|heater|mirror|pillow|backpack|jeans|scarf|"
    "gloves|drone|saddle|hammock|aquarium|trampoline|chandelier|wheelchair|hard drive|router"
).split("|")


@dataclass(frozen=True, slots=True)
class Question:
    """One question, to be worded."""

    words: tuple[str, str, str]

    def request(self, wording: str = FIRST, *, stream: bool = False, path: str = "") -> bytes:
        """Return the HTTP request that asks it."""
        body: dict[str, object] = {
            "model": "bench",
            "messages": [{"role": "user", "content": wording.format(*self.words)}],
        }
        if stream:
            body["stream"] = True
        data = json.dumps(body).encode()
        head = (
            f"POST {path or '/v1/chat/completions'} HTTP/1.1\r\n"
            "host: 127.0.0.1\r\n"
            "authorization: Bearer bench-key\r\n"
            "content-type: application/json\r\n"
            f"content-length: {len(data)}\r\n\r\n"
        )
        return head.encode() + data


def questions(seed: int) -> list[Question]:
    """Return all questions in an order that ``seed`` decides."""
    drawn = [Question(words) for words in itertools.product(VERBS, NOUNS, THINGS)]
    random.Random(seed).shuffle(drawn)
    return drawn
