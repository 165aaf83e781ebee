"""The files beside a model's weights that a copy of it needs too: configuration, tokenizer, licence. Parses none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from spectra_cli.errors import SpectraError
from spectra_cli.weights.files import COPY_AGAIN, Boundary, Provider, admit, fill, opened
from spectra_cli.weights.grouping import list_folder
from spectra_cli.weights.recognition import checkpoint_files

# As transformers and its tokenizers name them. Indices and descriptions of the weights themselves are not among them.
COMPANIONS = re.compile(
    r"config\.json|generation_config\.json|tokenizer\.json|tokenizer_config\.json|special_tokens_map\.json|"
    r"added_tokens\.json|vocab\.(json|txt|bpe)|merges\.txt|(.+\.)?(spm|tiktoken)|(tokenizer|spiece|sentencepiece.*)\.model|"
    r"chat_template\.(json|jinja)|(pre)?processor_config\.json|.*preprocessor_config\.json|"
    r"(configuration|modeling|tokenization|modular|processing)_\w+\.py|LICENSE.*|NOTICE.*"
)
MOST_BYTES = 256 * 2**20  # the largest tokenizers have some 35 MB


def companion_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return, of the names in a checkpoint's folder, those of files that a copy of the model needs beside its weights.

    >>> companion_names(["config.json", "model.safetensors", "optimizer.pt", "tokenizer.json"])
    ('config.json', 'tokenizer.json')
    """
    return tuple(sorted(name for name in names if COMPANIONS.fullmatch(name)))


def files_of_copy(names: Sequence[str]) -> tuple[str, ...]:
    """Return, of the names in a folder, all that a copy of its checkpoint is made of; none if it holds no checkpoint.

    >>> files_of_copy(["README.md", "model.safetensors", "tokenizer.json"]), files_of_copy(["tokenizer.json"])
    (('model.safetensors', 'tokenizer.json'), ())
    """
    wanted = checkpoint_files(names)
    return tuple(sorted({*wanted, *companion_names(names)})) if wanted else ()


def read_companions(folder: Path, *, follow_links: bool = False, provider: Provider | None = None) -> dict[str, bytes]:
    """Read them all, by name; none beside a checkpoint that is one file. Raises SpectraError naming the file.

    follow_links, provider: as for `open_weights`.
    """
    if not folder.is_dir():
        return {}
    boundary = Boundary(folder, follow_links, provider)
    contents = {name: _read(folder / name, boundary) for name in companion_names(list_folder(folder).files)}
    if provider:
        provider.release_header()
    return contents


def _read(path: Path, boundary: Boundary) -> bytes:
    if boundary.provider:
        boundary.provider.materialize_header(path)
    # An empty file, such as merges.txt of a tokenizer of bytes, is copied as it is; nothing of it is ever fetched.
    if boundary.provider and not path.exists() or path.exists() and path.stat().st_size == 0:
        return b""
    source = admit(path, boundary)
    if source.size > MOST_BYTES:
        raise SpectraError(f"{source} is too large for what it should be ({source.size:,} bytes)", hint=COPY_AGAIN)
    data = bytearray(source.size)
    with opened(source) as descriptor:
        fill(descriptor, memoryview(data), 0, source)
    return bytes(data)
