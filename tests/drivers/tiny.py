"""Makes sentence-transformers models of a few kilobytes with random weights."""

from __future__ import annotations

from pathlib import Path

WORDS = "how do i cancel the order what is capital a function that and get refund . ? thanks yes"
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,?;:()*>=_"


def tiny_model(folder: Path, *, pooling: str) -> Path:
    """Write a BERT of two layers with that pooling into ``folder``; its window is 32 tokens."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizer

    plain = folder.with_name(folder.name + "-plain")
    plain.mkdir(parents=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS]
    vocabulary += [f"##{letter}" for letter in LETTERS]
    vocabulary += [word for word in WORDS.split() if word not in vocabulary]
    BertTokenizer(vocab={word: n for n, word in enumerate(vocabulary)}).save_pretrained(plain)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(plain)
    transformer = Transformer(str(plain), max_seq_length=32)
    SentenceTransformer(modules=[transformer, Pooling(32, pooling_mode=pooling)]).save(str(folder))
    return folder
