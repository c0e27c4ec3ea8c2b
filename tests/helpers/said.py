"""Sentences that tests make up, and a small encoder that knows their words: its weights are drawn at random.

What a sentence is about is told by a pair of words; the order tells which is meant, so that no word tells it alone.
"""

import json

import numpy as np

from forgeline.engine import transformer
from forgeline.engine.transformer import Architecture

LABELS = ("animal", "place", "tool")
WORDS = {
    "animal": ["otter", "heron", "badger", "lynx"],
    "place": ["harbour", "meadow", "quarry", "bridge"],
    "tool": ["chisel", "ladder", "anvil", "compass"],
}
FILLERS = [
    *("the", "a", "some", "near", "old", "new", "under", "with", "and", "of", "that", "this", "was", "is", "not"),
    *("quite", "very", "often", "there", "here", "again", "then"),
]
SMALL = Architecture(layers=2, width=32, heads=2, inner=64, vocabulary=64, positions=40)


def sentences(count, *, seed=0, noise=0.0):
    """Texts, and what each is about."""
    draw = np.random.default_rng(seed)
    about = [LABELS[each] for each in draw.integers(0, 3, count)]
    texts = []
    for what in about:
        kind = LABELS[draw.integers(0, 3)] if draw.random() < noise else what
        words = [str(draw.choice(FILLERS)) for _ in range(draw.integers(4, 14))]
        words.insert(int(draw.integers(0, len(words))), str(draw.choice(WORDS[kind])))
        texts.append(f"{' '.join(words).capitalize()}.")
    return texts, about


def write_encoder(folder, *, without=(), **changes):
    """A folder as Hugging Face keeps an encoder, less some of its files, with some of its settings changed."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    known = [*FILLERS, *(word for words in WORDS.values() for word in words)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", ".", *known]
    tokenizer = {
        "added_tokens": [],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "cls": ["[CLS]", 2], "sep": ["[SEP]", 3]},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {piece: place for place, piece in enumerate(vocabulary)},
        },
    }
    config = {
        **{"model_type": "bert", "hidden_act": "gelu", "num_hidden_layers": SMALL.layers, "hidden_size": SMALL.width},
        **{"num_attention_heads": SMALL.heads, "intermediate_size": SMALL.inner, "vocab_size": SMALL.vocabulary},
        "max_position_embeddings": SMALL.positions,
    }
    draw = np.random.default_rng(3)
    weights = {
        name: draw.normal(scale=0.3, size=shape).astype(np.float32) + (name.endswith("LayerNorm.weight"))
        for name, shape in transformer.names(SMALL).items()
    }
    save_file({name: each.astype(np.float32) for name, each in weights.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config | changes))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\nMade up.\n")
    for file in without:
        (folder / file).unlink()
    return folder
