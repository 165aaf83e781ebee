"""A language model of transformers, made of a configuration and tensors that are plain data. Knows no file of weights.

No code of a checkpoint is run: the class comes from transformers' own table of model types, and of the configuration
only values are taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spectra_cli.errors import SpectraError, printable

if TYPE_CHECKING:
    import torch

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.txt", "tekken.json",
)  # fmt: skip
VOCABULARIES = frozenset(TOKENIZER_FILES) - {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"}
BYTES = (256, 512)  # the least and the largest vocabulary of a model of bytes: some add a few marks, or pad

# What of a configuration chooses code rather than a size: transformers decides these by itself.
CHOOSES_CODE = (
    "auto_map", "quantization_config", "attn_implementation", "experts_implementation", "kernel_config",
    "distributed_config", "trust_remote_code", "model_type", "dtype", "torch_dtype",
)  # fmt: skip
LAYER_COUNTS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
SPARE = 4  # a model may have so many times the elements that its files hold before nothing is made of it
MASKS = 1 << 28  # numbers that a small model may keep beside its weights, such as the mask of a long context
NO_MODEL = "give the folder of a language model that transformers knows, with its config.json"
UNLIKE = "its weights do not make the model of its config.json"


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A model that predicts the next token. module: transformers' own. most_context: tokens that it was made for.

    device, dtype: where it lies and what it computes in, by torch's names. unused: weights of its files that are no
    part of it.
    """

    module: Any
    model_type: str
    vocabulary: int
    most_context: int | None
    device: str
    dtype: str
    unused: tuple[str, ...] = ()


def make_config(settings: Mapping[str, Any], called: str) -> Any:
    """Return transformers' configuration of a model from the plain data of its config.json.

    called: the model's name in errors. Raises SpectraError where transformers knows no language model of that type.
    """
    transformers = quiet_transformers()
    model_type = settings.get("model_type")
    if not isinstance(model_type, str):
        raise SpectraError(f"{called} has no config.json that names a model_type", hint=NO_MODEL)
    if model_type not in transformers.CONFIG_MAPPING:
        raise SpectraError(f"{called}: transformers knows no model of type {printable(model_type)}", hint=NO_MODEL)
    try:
        config = transformers.AutoConfig.for_model(model_type, **_values(settings))
        vocabulary = getattr(config.get_text_config(decoder=True), "vocab_size", None)
    except Exception as error:
        raise _no_model(called, "its config.json does not load", error) from None
    if type(config) not in transformers.MODEL_FOR_CAUSAL_LM_MAPPING:
        raise SpectraError(f"{called} is a {printable(model_type)}, which is no language model", hint=NO_MODEL)
    if not isinstance(vocabulary, int) or vocabulary < 1:
        raise SpectraError(f"{called}: its config.json gives no vocabulary", hint=NO_MODEL)
    return config


def make_model(
    config: Any, tensors: Mapping[str, torch.Tensor], called: str, *, device: str = "cpu", dtype: str = "float32"
) -> LanguageModel:
    """Return the model of a configuration and of all its tensors, by the names of its files.

    Raises SpectraError where tensors are missing or of another shape, or hold far less than the configuration
    describes.
    """
    import torch

    transformers = quiet_transformers()
    kind = transformers.MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    _check_size(config, tensors, called)
    floats = {n: t.to(getattr(torch, dtype)) if t.is_floating_point() else t for n, t in tensors.items()}
    try:
        module, loading = kind.from_pretrained(
            None, config=config, state_dict=floats, dtype=getattr(torch, dtype), output_loading_info=True,
            ignore_mismatched_sizes=True,  # refused below, by name
        )  # fmt: skip
        module = module.eval().to(device)
    except MemoryError:
        raise
    except Exception as error:
        raise _no_model(called, UNLIKE, error) from None
    _check_loading(loading, called)
    unused = tuple(
        sorted(
            n
            for n in loading["unexpected_keys"]
            if n in floats and floats[n].ndim > 1 and floats[n].is_floating_point()
        )
    )
    vocabulary = int(config.get_text_config(decoder=True).vocab_size)
    return LanguageModel(module, config.model_type, vocabulary, most_context(config), device, dtype, unused)


def layer_count(config: Any) -> int:
    """Return how many layers a configuration describes; 0 where it does not say."""
    text = config.get_text_config(decoder=True)
    return max((n for key in LAYER_COUNTS if isinstance(n := getattr(text, key, None), int)), default=0)


def most_context(config: Any) -> int | None:
    """Return how many tokens at once a model was made for; None where its configuration does not say."""
    text = config.get_text_config(decoder=True)
    most = getattr(text, "max_position_embeddings", None) or getattr(text, "max_seq_len", None)
    return most if isinstance(most, int) and most > 1 else None


def load_tokenizer(folder: Path, called: str) -> Any | None:
    """Return the tokenizer that lies in a folder, loaded without running code of it; None where there is none."""
    if not folder.is_dir() or not any((folder / name).exists() for name in VOCABULARIES):
        return None
    transformers = quiet_transformers()
    try:
        return transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:
        raise SpectraError(
            f"the tokenizer of {called} does not load: {_reason(error)}",
            hint="name a folder with one that loads: --tokenizer FOLDER",
        ) from None


def check_vocabulary(model: LanguageModel, largest: int, called: str, *, tokenizer: bool) -> None:
    """Raise SpectraError where the tokens are not those of the model. largest: the largest number of one."""
    if not tokenizer and not BYTES[0] <= model.vocabulary <= BYTES[1]:
        raise SpectraError(
            f"{called} has no tokenizer, and its vocabulary of {model.vocabulary:,} is not one of bytes",
            hint="name the folder of its tokenizer: --tokenizer FOLDER",
        )
    if largest >= model.vocabulary:
        raise SpectraError(
            f"the tokenizer gives token {largest:,}, and {called} has a vocabulary of {model.vocabulary:,}",
            hint="name the folder of the model's own tokenizer: --tokenizer FOLDER",
        )


def quiet_transformers() -> Any:
    """Return transformers, which from now on prints nothing by itself."""
    import transformers

    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    return transformers


def _values(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a configuration, in those nested in it too, without what chooses code."""
    return {
        key: _values(value) | ({"model_type": value["model_type"]} if "model_type" in value else {})
        if isinstance(value, Mapping) else value
        for key, value in settings.items()
        if key not in CHOOSES_CODE and not key.startswith("_")
    }  # fmt: skip


def described_sizes(config: Any, tensors: int, called: str) -> tuple[int, int]:
    """Return how many numbers a model has by its configuration, weights and buffers, taking no memory for them.

    tensors: how many its files hold. Raises SpectraError where it has more layers than these, or cannot be made.
    """
    import torch

    layers, transformers = layer_count(config), quiet_transformers()
    if layers > tensors:
        raise SpectraError(
            f"{called}: its config.json says {layers:,} layers, and its files hold {tensors:,} tensors", hint=NO_MODEL
        )
    try:
        with torch.device("meta"):
            empty = transformers.MODEL_FOR_CAUSAL_LM_MAPPING[type(config)](config)
    except Exception as error:
        raise _no_model(called, "no model can be made of its config.json", error) from None
    weights, buffers = empty.parameters(), empty.buffers()
    return sum(weight.numel() for weight in weights), sum(buffer.numel() for buffer in buffers)


def _check_size(config: Any, tensors: Mapping[str, torch.Tensor], called: str) -> None:
    """Refuse a configuration that describes a far larger model than its files hold, before memory is taken for it."""
    described, masks = described_sizes(config, len(tensors), called)
    stored = sum(tensor.numel() for tensor in tensors.values())
    if described > SPARE * stored or masks > max(SPARE * stored, MASKS):
        raise SpectraError(
            f"{called}: its config.json describes {described + masks:,} numbers, and its files hold {stored:,}",
            hint=NO_MODEL,
        )


def _check_loading(loading: Mapping[str, Any], called: str) -> None:
    """Raise SpectraError where tensors have other shapes than the model's, or are not there."""
    for name, stored, described in sorted(loading["mismatched_keys"]):
        raise SpectraError(
            f"{called}: {UNLIKE}: {printable(name)} is {list(stored)}, and {list(described)} by it",
            hint="put the config.json that was saved with these weights beside them",
        )
    if missing := sorted(loading["missing_keys"]):
        raise SpectraError(
            f"{called} lacks {_some(missing)}", hint="copy the checkpoint again, with every file of its weights"
        )


def _no_model(called: str, what: str, error: Exception) -> SpectraError:
    return SpectraError(f"{called}: {what}: {_reason(error)}", hint=NO_MODEL)


def _reason(error: Exception) -> str:
    """Return the first line of what a library says, and the next where it only announces that."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = lines[: 2 if lines[0].endswith(":") else 1] if lines else [type(error).__name__]
    return printable(" ".join(said), 200)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 1} more tensors" if len(names) > 1 else ""
    return printable(names[0]) + more
