"""Ways to the eigenvalues of many Gram matrices at once on a device, and what each takes; `gpu.py` prints the table.

By itself it prints the rates of this machine's processor and of a device, one row a side: those are the rows of
`MEASURED` in `spectra_cli/svd/rates.py`, to be pasted there. `python benchmarks/gpu_routes.py` prints the processor's,
`python benchmarks/gpu_routes.py cuda` both.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch
from threadpoolctl import threadpool_limits

from spectra_cli import svd
from spectra_cli.svd.lapack import eigenvalues
from spectra_cli.svd.routes import batched, looped
from spectra_cli.svd.rules import error_of_squares, steps

Route = Callable[[torch.Tensor], torch.Tensor]
SMALLEST = 512  # sides that `by_products` splits no further
SIDES, ROUNDS = (64, 128, 256, 512, 768, 1024, 2048), 5  # of the rates
TRIES = 40  # of the iteration to the sign of a matrix, which doubles its digits at the end only


def jacobi(grams: torch.Tensor) -> torch.Tensor:
    """Take the singular values, which of a Gram matrix are the eigenvalues, by cuSOLVER's Jacobi rotations."""
    values: torch.Tensor = torch.linalg.svdvals(grams, driver="gesvdj")
    return values.flip(-1)


def on_processors(grams: torch.Tensor) -> torch.Tensor:
    """Copy them to the processors, of which each takes one after the other."""
    with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda gram: torch.as_tensor(eigenvalues(gram.T.contiguous().T)), grams.cpu())
        return torch.stack([each.sort().values for each in found])


def by_products(grams: torch.Tensor) -> torch.Tensor:
    """Split each at its mean eigenvalue, again and again, by products of matrices and a QR."""
    return torch.stack([torch.cat(list(_split(gram))).sort().values for gram in grams])


def _split(gram: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield the eigenvalues of one matrix in parts."""
    side = len(gram)
    at = gram.diagonal().median()
    one = torch.eye(side, dtype=gram.dtype, device=gram.device)
    sign = gram - at * one
    sign = sign / torch.linalg.matrix_norm(sign)
    for _ in range(TRIES if side > SMALLEST else 0):
        sign, before = 1.5 * sign - 0.5 * sign @ sign @ sign, sign
        if torch.linalg.matrix_norm(sign - before) < 1e-12 * side:
            break
    above = int(torch.round((side + sign.trace()) / 2)) if side > SMALLEST else 0
    if not 0 < above < side:
        yield torch.linalg.eigvalsh(gram)
        return
    basis = torch.linalg.qr((one + sign) / 2 @ torch.randn(side, side, dtype=gram.dtype, device=gram.device)).Q
    for part in (basis[:, :above], basis[:, above:]):
        yield from _split(part.mT @ gram @ part)


ROUTES: dict[str, Route] = {
    "batched": batched, "looped": looped, "Jacobi": jacobi, "processors": on_processors, "products": by_products,
}  # fmt: skip


def timed(work: Callable[[], object], device: str, rounds: int) -> float:
    """Return the median seconds of some rounds after one that is not counted."""
    seconds = []
    for _ in range(rounds + 1):
        torch.get_device_module(device).synchronize()
        start = time.perf_counter()
        work()
        torch.get_device_module(device).synchronize()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def compared(side: int, count: int, device: str, rounds: int) -> Iterator[tuple[str, float, float]]:
    """Yield each route's name, milliseconds a matrix, and largest error over its bound; NaN for one that is not there.

    The bound is that of `rules` on an eigenvalue: a route with more than 1 is not for a scan. The matrices are the Gram
    matrices of random ones with a low-rank part, count of them, (side, side).
    """
    generator = torch.Generator().manual_seed(0)
    stored = torch.randn(count, side, 2 * side, generator=generator, dtype=torch.float64)
    stored += torch.randn(count, side, 4, generator=generator, dtype=torch.float64) @ torch.randn(
        count, 4, 2 * side, generator=generator, dtype=torch.float64
    )
    grams = (stored @ stored.mT).to(device)
    exact = looped(grams.cpu()).flip(-1)
    bound = torch.as_tensor(error_of_squares(exact.numpy(), steps((side, 2 * side))))
    for name, route in ROUTES.items():
        try:
            found = route(grams).cpu().flip(-1)
            error = float(((found - exact).abs() / bound).max())
            yield name, 1e3 * timed(partial(route, grams), device, rounds) / count, error
        except (RuntimeError, ValueError):  # no such driver here, or no memory
            yield name, float("nan"), float("nan")


def print_rates(device: str, sides: Iterable[int]) -> None:
    """Print the rows of a device, or of one processor, as they stand in the table of `rates`."""
    for side in sides:
        print(f"    {svd.measure_rates(device, side, rounds=ROUNDS)},", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("device", nargs="?", help="beside the processor")
    parser.add_argument("--sides", nargs="+", type=int, default=SIDES)
    asked = parser.parse_args()
    for device in ("cpu", *(svd.each_of(asked.device)[:1] if asked.device else ())):
        print_rates(device, asked.sides)


if __name__ == "__main__":
    main()
