"""Tiny language models on the disk, as transformers writes them, with a tokenizer or of bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers

BYTES: dict[str, Any] = {"vocab_size": 256, "max_position_embeddings": 64, "hidden_size": 32, "intermediate_size": 48,
                         "num_attention_heads": 4, "num_hidden_layers": 3}  # fmt: skip
TEXT = "Spectra settle before weights do; naïve readers — 100% of them — ask why. 😀\n" * 8


def write_model(folder: Path, model_type: str, config: Mapping[str, Any], seed: int = 0) -> Any:
    """Write a random model with weights large enough that its layers matter, and return it."""
    torch.manual_seed(seed)
    made = transformers.AutoConfig.for_model(model_type, **config)
    model: Any = transformers.AutoModelForCausalLM.from_config(made).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.normal_(0, 0.15)
    model.save_pretrained(folder)
    return model


def write_tokenizer(folder: Path, *, begins: bool, vocabulary: int = 300) -> Any:
    """Write a byte-level tokenizer trained on TEXT, which puts a mark before a text where it `begins`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=["<s>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator([TEXT], trainer)
    if begins:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>")
    fast.save_pretrained(folder)
    return fast
