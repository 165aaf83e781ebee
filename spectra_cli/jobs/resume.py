"""What must be the same for a stopped scan to be resumed, and whether files are still those that were found."""

from __future__ import annotations

from spectra_cli import sources
from spectra_cli.errors import SpectraError
from spectra_cli.measure.metadata import settings
from spectra_cli.measure.plan import Plan
from spectra_cli.records import Checkpoint
from spectra_cli.storage.manifest import Manifest, ManifestCheckpoint, ManifestReference


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
