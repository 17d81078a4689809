"""Export MiniLM to ONNX, float32, with the inputs and output that fastembed expects.

    python export_minilm.py SOURCE FOLDER

Runs where torch and transformers are: in kindcache's environment with the extra `model`.
"""

from __future__ import annotations

import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


class Graph(torch.nn.Module):  # type: ignore[misc]  # torch is not seen by the type checker
    """The transformer alone; fastembed pools and normalises by itself."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
        """Return the vectors of all tokens."""
        return self.model(input_ids, attention_mask, token_type_ids).last_hidden_state


def main() -> None:
    """Export."""
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    ids = torch.ones((2, 8), dtype=torch.int64)
    axes = {0: "n", 1: "tokens"}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Graph(AutoModel.from_pretrained(str(source), attn_implementation="eager")).eval(),
            (ids, ids, ids * 0),
            str(folder / "model.onnx"),
            input_names=list(INPUTS),
            output_names=["last_hidden_state"],
            dynamic_axes=dict.fromkeys((*INPUTS, "last_hidden_state"), axes),
            opset_version=17,
            dynamo=False,
        )
    for name in FILES:
        shutil.copy(source / name, folder / name)


if __name__ == "__main__":
    main()
