"""What a checkpoint's stored tensors mean, decided from config.json's plain data, names and shapes alone.

No model is built, no code of a repository is run, and neither torch nor transformers is imported.
"""

from __future__ import annotations

from spectra_cli.architectures.cutting import cut, cut_factors, put
from spectra_cli.architectures.dimensions import named_sizes, text_config
from spectra_cli.architectures.families import ARCHITECTURES
from spectra_cli.architectures.ownership import element_owners
from spectra_cli.architectures.reading import architecture_of, layout
from spectra_cli.architectures.record import ROLES, Architecture, Rule, Split, role_of
from spectra_cli.architectures.toml import from_toml, load, to_toml

__all__ = [
    "ARCHITECTURES", "ROLES", "Architecture", "Rule", "Split", "architecture_of", "cut", "cut_factors",
    "element_owners", "from_toml", "layout", "load", "named_sizes", "put", "role_of", "text_config", "to_toml",
]  # fmt: skip
