"""Spectra of stored matrices and distances between them: the only place that knows devices and precisions.

Torch tensors of any stored dtype come in; NumPy float64 goes out. It knows nothing of files, models or tables.
The rule and its error are in `rules`. Importing this imports no torch.

On one machine's CPU σ is the same to the last bit for the same entries, dtype and shape, whatever the strides of
the tensor, how many matrices are measured side by side, and what else is asked for. Bits may differ on another
machine or device, for the transpose, with several BLAS threads a matrix instead of one, and on a GPU with the batch.
"""

from spectra_cli.svd.batches import Attempt, in_batches
from spectra_cli.svd.cost import (
    eigenvalue_gigaflops,
    gigaflops,
    gram_bytes,
    is_exclusive,
    product_gigaflops,
    working_bytes,
)
from spectra_cli.svd.decomposition import shuffled, spectra, spectrum
from spectra_cli.svd.devices import choose_device, computes_on, current_of, describe, each_of, is_out_of_memory
from spectra_cli.svd.distances import compare, compare_each, same_bits
from spectra_cli.svd.factors import Factors, Vectors
from spectra_cli.svd.measured_rates import measure_rates, name_of, rates_of
from spectra_cli.svd.rates import Rates, choose, rates_over, seconds_alone
from spectra_cli.svd.routes import BATCHED, LOOPED, PROCESSORS, ROUTES, SPLIT, Route
from spectra_cli.svd.small import is_small
from spectra_cli.svd.vectors import singular_vectors

__all__ = [
    "BATCHED", "LOOPED", "PROCESSORS", "ROUTES", "SPLIT", "Attempt", "Factors", "Rates", "Route", "Vectors",
    "choose", "choose_device", "compare", "compare_each", "computes_on", "current_of", "describe", "each_of",
    "eigenvalue_gigaflops", "gigaflops", "gram_bytes", "in_batches", "is_exclusive", "is_out_of_memory", "is_small",
    "measure_rates", "name_of", "product_gigaflops", "rates_of", "rates_over", "same_bits", "seconds_alone",
    "shuffled", "singular_vectors", "spectra", "spectrum", "working_bytes",
]  # fmt: skip
