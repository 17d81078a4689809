"""GPTCache as its users set it up: sqlite and faiss, its default threshold, no report a hit.

With these versions its hnswlib index finds vectors but no rows: it asks sqlite for numpy integers.

    python gptcache_store.py --model FOLDER --fill prompts.json --answer TEXT

fills the store in the working directory by GPTCache's own ``import_data``, in batches.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from gptcache import Cache, Config
from gptcache.manager import manager_factory
from gptcache.processor.post import first
from gptcache.processor.pre import get_prompt
from gptcache.similarity_evaluation import SearchDistanceEvaluation
from minilm import MiniLM

ROOM = 200_000  # entries; the default of 1,000 would evict most of what is stored
BATCH = 64


def opened(model: MiniLM) -> Any:
    """Open the store in the working directory."""
    manager = manager_factory(
        "sqlite,faiss",
        data_dir=".",
        vector_params={"dimension": 384, "top_k": 1},
        eviction_params={"max_size": ROOM},
    )
    cache = Cache()
    cache.init(
        pre_embedding_func=get_prompt,
        embedding_func=model.one,
        data_manager=manager,
        similarity_evaluation=SearchDistanceEvaluation(),
        post_process_messages_func=first,
        config=Config(enable_token_counter=False, disable_report=True),
    )
    return cache


def main() -> None:
    """Fill."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--fill", type=Path, required=True, help="a JSON list of prompts")
    parser.add_argument("--answer", required=True)
    options = parser.parse_args()
    model = MiniLM(options.model, threads=0)
    cache = opened(model)
    prompts = json.loads(options.fill.read_text())
    for start in range(0, len(prompts), BATCH):
        batch = prompts[start : start + BATCH]
        answers = [options.answer] * len(batch)
        none = [None] * len(batch)
        cache.data_manager.import_data(batch, answers, list(model.many(batch)), none)
    cache.flush()


if __name__ == "__main__":
    main()
