"""The rows of a scan from inside a training loop: a monitor for any loop, callbacks for trainers.

    from spectra_cli.monitor import SpectralMonitor

    with SpectralMonitor(model, every=25, out="run.parquet") as monitor:
        for step, batch in enumerate(batches, 1):
            train(batch)
            monitor.step(step)

Each name is loaded when it is first asked for: transformers and Lightning only by their own callbacks.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spectra_cli.monitor.hugging_face import SpectraCallback as SpectraCallback
    from spectra_cli.monitor.lightning import SpectraLightningCallback as SpectraLightningCallback
    from spectra_cli.monitor.pace import Cost as Cost
    from spectra_cli.monitor.spectral_monitor import SpectralMonitor as SpectralMonitor

__all__ = ["Cost", "SpectraCallback", "SpectraLightningCallback", "SpectralMonitor"]

_HOMES = {
    "Cost": "pace",
    "SpectraCallback": "hugging_face",
    "SpectraLightningCallback": "lightning",
    "SpectralMonitor": "spectral_monitor",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its home when it is first asked for (PEP 562)."""
    if name in _HOMES:
        return getattr(import_module(f"spectra_cli.monitor.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'spectra_cli.monitor' has no attribute {name!r}")
