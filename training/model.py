"""The pair scorer: a small cross-encoder that also sees which tokens the two texts share."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import BertModel

MARKS = 3  # a token also occurs in the other text; so does it with its left, its right neighbour


class FrozenWords(nn.Module):  # type: ignore[misc]  # torch is not seen by the type checker
    """A table of word vectors in int8, one scale a row: a quarter of the size, never trained."""

    def __init__(self, table: Any) -> None:
        super().__init__()
        scale = table.abs().amax(dim=1, keepdim=True).clamp(min=1e-8) / 127.0
        self.register_buffer("scale", scale)
        self.register_buffer("rows", (table / scale).round().to(torch.int8))

    def forward(self, input_ids: Any) -> Any:
        """Return vectors (n, tokens, dim)."""
        rows = nn.functional.embedding(input_ids, self.rows)
        return rows.to(self.scale.dtype) * nn.functional.embedding(input_ids, self.scale)


class PairScorer(nn.Module):  # type: ignore[misc]  # torch is not seen by the type checker
    """Maps ``[CLS] new [SEP] stored [SEP]`` to one logit: the same answer fits both.

    Starts from a sentence encoder, so the means of the two texts are near its vectors from the
    first step on; the head reads their product and difference as well as the first token.
    """

    def __init__(self, bert: BertModel, layers: int, hidden: int = 256) -> None:
        super().__init__()
        bert.encoder.layer = bert.encoder.layer[:layers]
        bert.config.num_hidden_layers = layers
        bert.pooler = None
        words = FrozenWords(bert.embeddings.word_embeddings.weight.detach())
        bert.embeddings.word_embeddings = nn.Identity()
        self.words = words
        self.bert = bert
        dim = bert.config.hidden_size
        self.marks = nn.Linear(MARKS, dim, bias=False)
        self.head = nn.Sequential(
            nn.Linear(3 * dim, hidden), nn.GELU(), nn.Dropout(0.1), nn.Linear(hidden, 1)
        )
        nn.init.normal_(self.marks.weight, std=0.01)

    def forward(self, input_ids: Any, token_type_ids: Any, attention_mask: Any = None) -> Any:
        """Return logits (n,). Without a mask all rows are of one length."""
        words = self.words(input_ids)
        marked = words + self.marks(shared_marks(input_ids, token_type_ids).to(words.dtype))
        tokens = self.bert(
            inputs_embeds=marked, token_type_ids=token_type_ids, attention_mask=attention_mask
        ).last_hidden_state
        second = token_type_ids.to(tokens.dtype).unsqueeze(-1)
        first = 1.0 - second
        if attention_mask is not None:
            first = first * attention_mask.to(tokens.dtype).unsqueeze(-1)
        one, two = _mean(tokens, first), _mean(tokens, second)
        seen = torch.cat([tokens[:, 0], one * two * 8.0, (one - two).abs() * 4.0], dim=-1)
        return self.head(seen).squeeze(-1)


def shared_marks(input_ids: Any, token_type_ids: Any) -> Any:
    """Return (n, tokens, MARKS) of 0 and 1; padding, id 0, matches nothing."""
    other = token_type_ids.unsqueeze(2) != token_type_ids.unsqueeze(1)
    real = (input_ids != 0).unsqueeze(2)
    same = ((input_ids.unsqueeze(2) == input_ids.unsqueeze(1)) & other & real).float()
    pairs = same[:, 1:, 1:] * same[:, :-1, :-1]  # this token and the one before it
    plain = same.amax(dim=2)
    left = nn.functional.pad(pairs.amax(dim=2), (1, 0))
    right = nn.functional.pad(pairs.amax(dim=2), (0, 1))
    return torch.stack([plain, left, right], dim=-1)


def _mean(tokens: Any, weight: Any) -> Any:
    return (tokens * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1.0)


def fresh(folder: str, layers: int) -> PairScorer:
    """Return an untrained scorer on the sentence encoder in ``folder``."""
    bert = BertModel.from_pretrained(folder, attn_implementation="eager")
    return PairScorer(bert, layers)
