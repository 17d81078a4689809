"""Turns a pair of prompts into the token ids that the scorer reads."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer


def tokenizer(folder: str | Path) -> Tokenizer:
    """Return the tokenizer in ``folder``, without truncation or padding."""
    found = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    found.no_truncation()
    found.no_padding()
    return found


def read_pair(reader: Tokenizer, new: str, stored: str) -> tuple[list[int], list[int]]:
    """Return ids and type ids of ``[CLS] new [SEP] stored [SEP]``."""
    read = reader.encode(new, stored)
    return read.ids, read.type_ids
