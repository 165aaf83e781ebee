"""What reading costs: memory that does not grow with the file, and no torch before the first tensor is read."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

PEAK = """
import re, sys, torch
from pathlib import Path
from spectra_cli.weights import open_weights
torch.set_num_threads(1)
with open_weights(Path(sys.argv[1])) as weights:
    for name in weights.tensors:
        assert weights.read(name)[0, 0] == 1.0
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024)
"""  # not ru_maxrss: a process begins with that of the one which started it


def run(program: str, *args: object) -> str:
    command = [sys.executable, "-c", program, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")
@pytest.mark.parametrize("format", ["safetensors", "zip", "stream"])
def test_reading_700_mb_tensor_by_tensor_stays_under_500_mb(tmp_path: Path, format: str) -> None:
    tensors = {f"w{number}": torch.ones(4096, 2048) for number in range(22)}
    path = tmp_path / ("a.safetensors" if format == "safetensors" else "a.pt")
    if format == "safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=format == "zip")
    assert path.stat().st_size > 700_000_000
    peak = int(run(PEAK, path))
    path.unlink()
    assert peak < 500


def test_names_and_shapes_are_read_without_torch(tmp_path: Path) -> None:
    save_file({"w": torch.ones(2, 2)}, tmp_path / "a.safetensors")
    torch.save({"w": torch.ones(2, 2)}, tmp_path / "b.pt")
    program = (
        "import sys\nfrom pathlib import Path\nfrom spectra_cli.weights import open_weights, recognise\n"
        "for path in map(Path, sys.argv[1:]):\n    with open_weights(path) as weights:\n"
        "        assert recognise(path) and weights.tensors['w'].shape == (2, 2)\n"
        "print({'torch', 'safetensors', 'transformers', 'pyarrow'} & set(sys.modules))"
    )
    assert run(program, tmp_path / "a.safetensors", tmp_path / "b.pt") == "set()"
