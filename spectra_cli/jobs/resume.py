"""What must be the same for a stopped scan to be resumed, and whether files are still those that were found."""

from __future__ import annotations

from dataclasses import asdict
from importlib import metadata as distributions
from typing import Any

from spectra_cli import sources, svd
from spectra_cli.errors import SpectraError
from spectra_cli.measure.plan import Plan
from spectra_cli.records import Checkpoint
from spectra_cli.storage.manifest import Manifest, ManifestCheckpoint, ManifestReference

PACKAGES = ("spectra-scan", "torch", "numpy", "scipy")  # what makes the numbers
NOT_IN_NUMBERS = ("threads", "device", "source", "map", "follow_links", "disk", "patience", "engine")


def manifest_of(plan: Plan, device: str) -> Manifest:
    """Return all that must be the same for an interrupted scan to be resumed."""
    reference = plan.reference
    return Manifest(
        **settings(plan, device),
        checkpoints={
            checkpoint.key: ManifestCheckpoint(checkpoint.step, checkpoint.tokens, sources.fingerprint(checkpoint.path))
            for checkpoint in plan.checkpoints
        },
        reference=ManifestReference(reference.revision, sources.fingerprint(reference.path)) if reference else None,
    )


def settings(plan: Plan, device: str) -> dict[str, Any]:
    """Return every option that changes numbers or rows, and what makes the numbers: device, precision, packages."""
    options = {name: value for name, value in asdict(plan.request).items() if name not in NOT_IN_NUMBERS}
    return {
        "options": {**options, "metrics": list(plan.metrics)},
        "device": device.partition(":")[0],
        "precision": svd.describe(device),
        "packages": {name: distributions.version(name) for name in PACKAGES},
    }


def is_changed(checkpoint: Checkpoint, manifest: Manifest) -> bool:
    """Whether the files are no longer those that the manifest names: they may be half old and half new."""
    return bool(sources.fingerprint(checkpoint.path) != manifest.checkpoints[checkpoint.key].fingerprint)


def refuse_changed_reference(plan: Plan, manifest: Manifest) -> None:
    """Raise SpectraError where the files of the reference are no longer those that the manifest names."""
    if plan.reference is None or manifest.reference is None:
        return
    if sources.fingerprint(plan.reference.path) != manifest.reference.fingerprint:
        raise changed(plan.reference)


def changed(checkpoint: Checkpoint) -> SpectraError:
    """Return the refusal of a checkpoint whose files changed."""
    return SpectraError(
        f"the files of {checkpoint.revision} changed while the scan ran",
        hint="wait until the program that writes them is done, then give the same command with --restart",
    )
