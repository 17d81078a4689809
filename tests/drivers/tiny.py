"""Makes sentence-transformers models of a few kilobytes with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

WORDS = "how do i cancel the order what is capital a function that and get refund . ? thanks yes"
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,?;:()*>=_"


def tiny_model(folder: Path, *, pooling: str) -> Path:
    """Write a BERT of two layers with that pooling into ``folder``; its window is 32 tokens."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertModel

    plain = folder.with_name(folder.name + "-plain")
    plain.mkdir(parents=True)
    BertModel(_tokenised(plain)).save_pretrained(plain)
    transformer = Transformer(str(plain), max_seq_length=32)
    SentenceTransformer(modules=[transformer, Pooling(32, pooling_mode=pooling)]).save(str(folder))
    return folder


def tiny_cross_encoder(folder: Path) -> Path:
    """Write a BERT of two layers with one output, below 0, into ``folder``."""
    from torch import nn
    from transformers import BertForSequenceClassification

    folder.mkdir(parents=True)
    config = _tokenised(folder)
    config.num_labels = 1
    model = BertForSequenceClassification(config)
    nn.init.constant_(model.classifier.bias, -3.0)
    model.save_pretrained(folder)
    return folder


def _tokenised(folder: Path) -> Any:
    """Write the tokenizer into ``folder`` and return a configuration for it."""
    from transformers import BertConfig, BertTokenizer

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS]
    vocabulary += [f"##{letter}" for letter in LETTERS]
    vocabulary += [word for word in WORDS.split() if word not in vocabulary]
    BertTokenizer(vocab={word: n for n, word in enumerate(vocabulary)}).save_pretrained(folder)
    return BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
