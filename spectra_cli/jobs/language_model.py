"""Opens a checkpoint as a language model: its configuration, its tensors and its tokenizer, all as data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spectra_cli import sources, weights
from spectra_cli.errors import SpectraError
from spectra_cli.evaluation.model import (
    TOKENIZER_FILES,
    LanguageModel,
    check_vocabulary,
    load_tokenizer,
    make_config,
    make_model,
)
from spectra_cli.evaluation.text import Text, Tokens, tokenize
from spectra_cli.jobs.only_checkpoint import only_checkpoint
from spectra_cli.records import FileRange, Remote
from spectra_cli.sources.hub.view import View

if TYPE_CHECKING:
    import torch

HUGGING_FACE = ("safetensors", "torch")  # formats that transformers reads by itself


@dataclass(frozen=True)
class ModelFiles:
    """A checkpoint that is open: its weights and its tokenizer. called: its name, as the user gave it.

    path: where it lies. files: as they are on this machine while it is open.
    """

    called: str
    path: Path | Remote
    files: sources.LocalFiles
    weights: weights.Weights
    tokenizer: Any | None

    @property
    def pretrained(self) -> tuple[str, ...] | None:
        """What other programs that use transformers find it by; None for what is no folder that they read."""
        if isinstance(self.path, Remote):
            return (
                (f"pretrained={self.path.repository}", f"revision={self.path.commit}")
                if self.path.on_hub and not self.path.folder
                else None
            )
        return (f"pretrained={self.path}",) if self.path.is_dir() and self.weights.format in HUGGING_FACE else None

    def config(self) -> Any:
        """Return transformers' configuration of the model."""
        return make_config(self.weights.config, self.called)

    def load(self, device: str, dtype: str) -> LanguageModel:
        """Read all weights and return the model. Raises SpectraError where it cannot be made."""
        if self.weights.format == "peft":
            raise SpectraError(f"{self.called} is an adapter, not a whole model", hint="merge it into its base first")
        if self.weights.unreadable:
            first = self.weights.unreadable[0]
            raise SpectraError(f"{self.called}: {first.tensor} cannot be read: {first.reason}", hint="copy it again")
        config = self.config()
        tensors = {name: in_dtype(self.weights.read(name), dtype) for name in self.weights.tensors}
        return make_model(config, tensors, self.called, device=device, dtype=dtype)

    def tokens(self, text: Text, model: LanguageModel) -> Tokens:
        """Return a text as this model reads it."""
        tokens = tokenize(text, self.tokenizer)
        check_vocabulary(model, int(tokens.ids.max()), self.called, tokenizer=self.tokenizer is not None)
        return tokens


def in_dtype(tensor: torch.Tensor, dtype: str) -> torch.Tensor:
    """Return a tensor as a model of this dtype holds it: converted when it is read, all are held only once."""
    import torch

    return tensor.to(getattr(torch, dtype)) if tensor.is_floating_point() else tensor


@contextmanager
def open_model(
    source: str, client: sources.Client, *, tokenizer: str | None = None, disk: int | None = None
) -> Iterator[ModelFiles]:
    """Open the one checkpoint of a source while the block runs.

    tokenizer: a folder whose tokenizer is taken in place of the one beside the weights. disk: bytes of scratch space
    for what is fetched. Raises SpectraError where there is no such checkpoint or its tokenizer does not load.
    """
    checkpoint = only_checkpoint(source, client, wanted=_model_files)
    (checkpoint,), _ = sources.resolve_files([checkpoint], client, _model_files)
    files_of = sources.CheckpointFiles(client, [checkpoint], weights.header_size, disk=disk)
    with (
        files_of as checkpoint_files,
        checkpoint_files.materialize(checkpoint) as files,
        weights.open_weights(
            files.path, follow_links=files.view is not None, provider=files.view, label=files.called
        ) as opened,
        _fetched(files.view, checkpoint.path),
    ):
        yield ModelFiles(
            source,
            checkpoint.path,
            files,
            opened,
            _tokenizer_of(Path(tokenizer) if tokenizer else None, files.path, source),
        )


def _tokenizer_of(named: Path | None, folder: Path, called: str) -> Any | None:
    if named is None:
        return load_tokenizer(folder, called)
    loaded = load_tokenizer(named, str(named))
    if loaded is None:
        raise SpectraError(
            f"{named} holds no tokenizer", hint="name a folder with a tokenizer.json: --tokenizer FOLDER"
        )
    return loaded


def _model_files(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of a folder's files that make its checkpoint and its tokenizer; none without a checkpoint."""
    wanted = weights.checkpoint_files(names)
    return tuple(sorted({*wanted, *_beside(names)})) if wanted else ()


def _beside(names: Iterable[str]) -> set[str]:
    return {*weights.companion_names(names), *(name for name in names if name in TOKENIZER_FILES)}


@contextmanager
def _fetched(view: View | None, path: Path | Remote) -> Iterator[None]:
    """Keep the files of a tokenizer on this machine while the block runs, where they have to be fetched."""
    files = path.files if isinstance(path, Remote) else ()
    beside = _beside([file.name for file in files])
    named = [file for file in files if file.name in beside]
    with view.materialize([FileRange(view.folder / f.name, 0, f.size) for f in named]) if view else nullcontext():
        yield
