"""What each key of adapter_config.json means for the change ΔW that an adapter makes. Knows no file and no tensor.

Rules are data: READ, HARMLESS, REFUSED and STARTS are PEFT's LoraConfig, key by key and value by value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

CONFIG = "adapter_config.json"

READ = frozenset({
    "peft_type", "r", "lora_alpha", "use_rslora", "alpha_pattern", "rank_pattern", "init_lora_weights",
    "target_parameters",
})  # fmt: skip
# What says where an adapter is from, which tensors it has, how it was trained, or how it started.
HARMLESS = frozenset({
    "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode",
    "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "modules_to_save",
    "trainable_token_indices", "ensure_weight_tying", "bias", "lora_bias",
    "lora_dropout", "megatron_config", "megatron_core", "runtime_config", "velora_config",
    "fan_in_fan_out",  # B·A is [out, in] whatever it says, and it says one thing of targets of both kinds
    "loftq_config", "eva_config", "corda_config", "lora_ga_config", "qalora_group_size",
    "merge_weights", "lora_dtype", "lorap_lr_ratio", "unsloth_fixed",
})  # fmt: skip
# Where one of these is set, the change is not scale · B·A alone.
REFUSED = {
    "use_dora": "DoRA's change depends on the model it adapts",
    "kasa_config": "KaSA puts singular values between its factors and cuts the model's weights, which is not read",
    "use_qalora": "QALoRA's factor A is for groups of inputs, which is not read",
    "use_bdlora": "BD-LoRA's factors are of blocks, which is not read",
    "arrow_config": "Arrow chooses between adapters for each token, so that there is no one change",
    "monteclora_config": "MonteCLoRA draws its factors at random, which is not read",
    "alora_invocation_tokens": "an activated LoRA changes the model after some tokens only",
    "layer_replication": "layer_replication repeats layers of the model, so that its layers are not the model's",
    "use_mora": "MoRA's change is not a product of two factors",
    "enable_lora": "enable_lora adapts parts of a fused matrix, which is not read",
}
# Ways to start in which the model's weights stay as they were, and those that take B₀·A₀ out of them.
KEEPS_BASE = frozenset({"true", "false", "gaussian", "eva", "orthogonal", "mica"})
CHANGES_BASE = re.compile(r"pissa(_niter_\d+)?|olora|corda|lora_ga|loftq")

UNKNOWN = "it is not known what it means for the change, which is measured without it"
# A pattern is run only if it ends soon on any name: no repeated group, and few repetitions without a bound.
ATOM = r"(?:[\w \-/:,=@^$]|\\[.\w\-$^/]|\.|\[[^\[\]\\]*(?:\\.[^\[\]\\]*)*\])"
SIMPLE = re.compile(rf"(?:{ATOM}(?:[*+?]|\{{\d{{1,3}}(?:,\d{{0,3}})?\}})?\??|\((?:\?:)?|\)(?![*+?{{])|\|)*")
MOST_REPETITIONS, MOST_CHOICES, LONGEST = 3, 6, 300


def unknown_keys(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys that no rule knows and that say something.

    >>> list(unknown_keys({"r": 8, "use_newlora": True, "other": None, "more": {}}))
    ['use_newlora']
    """
    known = READ | HARMLESS | REFUSED.keys()
    return (key for key, value in config.items() if key not in known and value not in (None, False, {}, [], ""))


def refusal(config: Mapping[str, Any]) -> str | None:
    """Return why the change of this adapter is not the product of its factors; None where it is."""
    reasons = (reason for key, reason in REFUSED.items() if config.get(key) not in (None, False, {}, []))
    start = _start(config)
    if not (start in KEEPS_BASE or CHANGES_BASE.fullmatch(start)):
        return f"init_lora_weights of {CONFIG} is {start[:60]!r}, which is not known"
    return next(reasons, None)


def changes_base(config: Mapping[str, Any]) -> str | None:
    """Return the name of the start that took B₀·A₀ out of the model's weights; None for all others.

    >>> changes_base({"init_lora_weights": "pissa_niter_16"}), changes_base({"init_lora_weights": True})
    ('pissa_niter_16', None)
    """
    start = _start(config)
    return start if CHANGES_BASE.fullmatch(start) else None


def _start(config: Mapping[str, Any]) -> str:
    value = config.get("init_lora_weights")
    return "true" if value is None else str(value).lower()


def scale(target: str, rank: int, config: Mapping[str, Any]) -> float | str:
    """Return α/r, or α/√r for rank-stabilised LoRA, with the target's own α where alpha_pattern gives one; or a reason.

    >>> scale("h.3.attn", 2, {"lora_alpha": 8, "alpha_pattern": {r"h.\\d+.attn": 4}})
    2.0
    """
    alpha = of_pattern(target, "alpha_pattern", "lora_alpha", config)
    if isinstance(alpha, str) and alpha.startswith("alpha_pattern"):
        return alpha
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha) or rank < 1:
        return f"{CONFIG} gives no lora_alpha that is a number"
    stated = of_pattern(target, "rank_pattern", "r", config)
    if type(stated) is int and stated != rank:
        return f"its factors have rank {rank}, and {CONFIG} says {stated}: which of them the scale is for is not known"
    return alpha / (math.sqrt(rank) if config.get("use_rslora") is True else rank)


def of_pattern(target: str, patterns: str, otherwise: str, config: Mapping[str, Any]) -> Any:
    """Return the value of the first key that fits the end of a target's name, as PEFT matches; or a reason.

    Keys are regular expressions. Those that could run for ever are not run: a stranger's file may hold one.
    """
    own = config.get(patterns)
    for key, value in own.items() if isinstance(own, dict) else ():
        plain = re.fullmatch(r"[\w-]+(\.[\w-]+)*", key)
        if plain and (target == key or target.endswith(f".{key}")):
            return value
        if plain:
            continue
        open_ends = len(re.findall(r"(?<!\()[*+?{]", key))
        choices = key.count("|")
        too_many = open_ends > MOST_REPETITIONS or choices > MOST_CHOICES
        if max(len(key), len(target)) > LONGEST or too_many or not SIMPLE.fullmatch(key):
            return f"{patterns} of {CONFIG} holds a regular expression that is not run, as it may not end"
        try:
            if re.match(rf"(.*\.)?({key})$", target):
                return value
        except re.error:
            return f"{patterns} of {CONFIG} holds what is no regular expression"
    return config.get(otherwise)
