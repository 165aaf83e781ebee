"""Wrappers whose parameters are not the weights are recognised, and refused with what to do."""

import pytest
import torch
import torch.distributed as dist
from torch.distributed.fsdp import FullyShardedDataParallel

from spectra_cli.errors import SpectraError
from spectra_cli.monitor import SpectralMonitor
from tests.support.training import neox


@pytest.fixture
def alone(tmp_path):
    """A distributed run of one process."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def refusal(model, tmp_path):
    with pytest.raises(SpectraError) as refused:
        SpectralMonitor(model, out=tmp_path / "run.parquet")
    assert not (tmp_path / "run.parquet").exists()
    assert "\n" not in refused.value.message + refused.value.hint
    return f"{refused.value.message}; {refused.value.hint}"


@pytest.mark.slow
@pytest.mark.usefixtures("alone")
@pytest.mark.filterwarnings("ignore:.*FSDP")
def test_fsdp1_is_refused(tmp_path):
    model = FullyShardedDataParallel(neox(), device_id=torch.device("cpu"))
    said = refusal(torch.nn.Sequential(model), tmp_path)
    assert "wrapped by FSDP1" in said
    assert "use FSDP2" in said


def test_zero_3_is_refused(tmp_path):
    """DeepSpeed marks a parameter that it has partitioned with an attribute, and empties it."""
    model = torch.nn.Linear(4, 4)
    for weight in model.parameters():
        weight.data = torch.empty(0)
        vars(weight)["ds_id"] = 0
    said = refusal(model, tmp_path)
    assert "DeepSpeed's ZeRO-3" in said
    assert "use ZeRO stage 2" in said


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing")
def test_adapters_are_refused(tmp_path):
    from peft import LoraConfig, get_peft_model

    said = refusal(get_peft_model(neox(), LoraConfig(target_modules=["query_key_value"])), tmp_path)
    assert "adapters of PEFT" in said
    assert "spectra watch" in said
