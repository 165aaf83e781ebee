"""The callbacks give the rows of a scan of what their trainers save."""

import pytest
import torch

from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.metrics import METRICS
from spectra_cli.monitor import SpectraCallback, SpectraLightningCallback
from tests.support.training import SIZES, differing, lightning_model, neox, rows_of, tied_llama

pytestmark = pytest.mark.filterwarnings("default")  # of trainers and what they import
AGAINST_PREVIOUS = [metric.name for metric in METRICS if metric.against == "prev"]


class Tokens(torch.utils.data.Dataset):
    """Random tokens, the same each time."""

    def __init__(self):
        self.tokens = torch.randint(0, SIZES["vocab_size"], (64, 8), generator=torch.Generator().manual_seed(0))

    def __len__(self):
        return len(self.tokens)

    def __getitem__(self, index):
        return {"input_ids": self.tokens[index], "labels": self.tokens[index]}


def hugging_face_trainer(folder, steps, callback, *, make=neox, report_to=("none",)):
    from transformers import Trainer, TrainingArguments

    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=steps, save_steps=2, per_device_train_batch_size=2, report_to=list(report_to),
        disable_tqdm=True, use_cpu=True, logging_steps=100,
    )  # fmt: skip
    return Trainer(make(), arguments, train_dataset=Tokens(), callbacks=[callback] if callback else [])


def later_than_first(rows):
    """The rows but for those that compare with step 0, of which trainers save no checkpoint."""
    first = (rows["step"] == 2) & rows["metric"].isin(AGAINST_PREVIOUS)
    return rows[(rows["step"] > 0) & ~first].reset_index(drop=True)


def test_the_trainer_of_transformers_leaves_the_rows_of_a_scan(tmp_path):
    run = tmp_path / "run"
    hugging_face_trainer(run, 4, SpectraCallback(every=2)).train()
    monitored = rows_of(run / "spectra.parquet")
    assert sorted(set(monitored["step"])) == [0, 2, 4]
    scan_checkpoints(run, tmp_path / "scan.parquet", losses=False)
    assert differing(later_than_first(monitored), rows_of(tmp_path / "scan.parquet"), but=("revision",)) == []


@pytest.mark.slow
def test_a_run_that_the_trainer_of_transformers_resumes_goes_on_with_its_table(tmp_path):
    run = tmp_path / "run"
    hugging_face_trainer(run, 6, SpectraCallback(every=2), make=tied_llama).train()
    resumed = hugging_face_trainer(run, 8, SpectraCallback(every=2), make=tied_llama)
    resumed.train(resume_from_checkpoint=str(run / "checkpoint-4"))
    monitored = rows_of(run / "spectra.parquet")
    assert sorted(set(monitored["step"])) == [0, 2, 4, 6, 8]
    scan_checkpoints(run, tmp_path / "scan.parquet", losses=False)
    assert differing(later_than_first(monitored), rows_of(tmp_path / "scan.parquet"), but=("revision",)) == []


@pytest.mark.slow
def test_scalars_go_to_tensorboard_where_the_trainer_of_transformers_reports_to_it(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    hugging_face_trainer(tmp_path, 4, SpectraCallback(every=2), report_to=("tensorboard",)).train()
    board = EventAccumulator(str(tmp_path / "runs" / "spectra")).Reload()
    assert {"spectra/stable_rank/q", "spectra/alpha/unembed"} <= set(board.Tags()["scalars"])
    rows = rows_of(tmp_path / "spectra.parquet")
    ranks = rows[(rows["metric"] == "stable_rank") & (rows["role"] == "q")].groupby("step")["value"].mean()
    shown = {event.step: event.value for event in board.Scalars("spectra/stable_rank/q")}
    assert shown == pytest.approx(dict(ranks), rel=1e-6)  # TensorBoard keeps float32


@pytest.mark.slow
def test_lightning_leaves_the_rows_of_a_scan(tmp_path):
    import lightning
    from lightning.pytorch.callbacks import ModelCheckpoint
    from lightning.pytorch.loggers import CSVLogger

    run = tmp_path / "run"
    model = lightning_model()
    saving = ModelCheckpoint(run, filename="{step}", every_n_train_steps=2, save_top_k=-1)
    watching = SpectraLightningCallback(tmp_path / "run.parquet", every=2)
    trainer = lightning.Trainer(
        max_steps=4, accumulate_grad_batches=2, accelerator="cpu", logger=CSVLogger(tmp_path / "logs"),
        callbacks=[saving, watching], enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(model, torch.utils.data.DataLoader(Tokens(), batch_size=2))
    (run / "config.json").write_text(model.model.config.to_json_string(), encoding="utf-8")
    monitored = rows_of(tmp_path / "run.parquet")
    assert sorted(set(monitored["step"])) == [0, 2, 4]
    scan_checkpoints(run, tmp_path / "scan.parquet", losses=False)
    assert differing(later_than_first(monitored), rows_of(tmp_path / "scan.parquet"), but=("revision",)) == []
    logged = (tmp_path / "logs" / "lightning_logs" / "version_0" / "metrics.csv").read_text(encoding="utf-8")
    assert "spectra/stable_rank/q" in logged
