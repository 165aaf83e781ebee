"""An example for every command's help, as one types it beside a run `runs/mine`. Knows no command."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "demo": ("spectra demo",),
    "inspect": ("spectra inspect runs/mine",),
    "scan": (
        "spectra scan runs/mine -o mine.parquet",
        "spectra scan hf:EleutherAI/pythia-70m --revisions 'step*' --steps 0:1000",
    ),
    "watch": (
        "spectra watch runs/mine -o watched.parquet --report watched.html --idle 1h",
        "spectra watch hf:EleutherAI/pythia-70m -o pythia.parquet --idle 1d",
    ),
    "diff": ("spectra diff runs/mine/step0 runs/mine/step16",),
    "verify": ("spectra verify mine.parquet --sample 5",),
    "export": ("spectra export mine.parquet -o mine.csv", "spectra export mine.parquet -o mine.duckdb"),
    "stability": ("spectra stability mine.parquet --loss runs/mine/loss.jsonl",),
    "lifecycle": ("spectra lifecycle mine.parquet",),
    "scaling": ("spectra scaling small.parquet medium.parquet large.parquet",),
    "rank1": ("spectra rank1 runs/mine --window 3",),
    "plot": (
        "spectra plot mine.parquet --kind trajectory -o mine.svg",
        "spectra plot mine.parquet --kind heatmap --metric entropy -o -",
    ),
    "report": ("spectra report mine.parquet --loss runs/mine/loss.jsonl -o mine.html",),
    "study": ("spectra study mine.parquet --loss runs/mine/loss.jsonl -o appendix",),
    "evaluate": ("spectra evaluate runs/mine/step0 runs/mine/step16 --text held-out.txt",),
    "ablate": ("spectra ablate runs/mine/step16 --text held-out.txt",),
    "prune": ("spectra prune runs/mine/step16 --layers 2 -o smaller",),
    "merge": ("spectra merge runs/mine --window 3 -o merged",),
    "warmup": ("spectra warmup runs/mine/step16 -o start",),
    "metrics": ("spectra metrics alpha",),
}
