"""How many of the demo's prompts each peer answers from its cache, and how many of those wrongly.

The upstream answers each conversation differently here, so that a served answer tells whose it is.
One prompt after the other, an empty cache at the start.
"""

from __future__ import annotations

import re
from collections import Counter

from load_client import connect
from peers_prompts import post
from peers_rounds import Model
from peers_servers import Peer
from peers_table import Served
from servers import Server
from upstream_app import digest

from kindcache.adapters.demo.traffic import load as load_prompts

DEMO_MODEL = "demo"
ANSWER = re.compile(rb'"content":\s*"([0-9a-f]{16})"')


async def play(peer: Peer, server: Server, model: Model) -> Served:
    """Ask all prompts of the demo; an answer is wrong if it is for a prompt of another key."""
    keys: dict[str, str] = {}
    asked: Counter[str] = Counter()
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    connection = await connect(server.port)
    for prompt in load_prompts():
        messages = prompt.messages()
        keys[digest(messages)] = prompt.key
        asked[prompt.kind] += 1
        calls = await model.calls()
        # Some peers cache nothing that is not of temperature 0.
        body = {"model": DEMO_MODEL, "temperature": 0, **prompt.body()}
        response = await connection.ask(post(body))
        found = ANSWER.search(response.body)
        if found is None:
            raise SystemExit(f"{peer.name} changes answers: {response.body[:200]!r}")
        if await model.calls() == calls:
            same = keys[found[1].decode()] == prompt.key
            (right if same else wrong)[prompt.kind] += 1
    connection.close()
    return Served(asked, right, wrong)
