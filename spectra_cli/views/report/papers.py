"""PAPERS, the literature that the page cites, each with its entry for a bibliography."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """One paper. key: its id on the page and in BibTeX. short: how sentences call it. arxiv: its number there."""

    key: str
    short: str
    title: str
    arxiv: str = ""
    source: str = ""
    year: int = 2026

    @property
    def bibtex(self) -> str:
        """The entry, without authors where the page does not know them: the archive's own entry has them."""
        where = (
            f"eprint = {{{self.arxiv}}}, archivePrefix = {{arXiv}}"
            if self.arxiv
            else f"howpublished = {{{self.source}}}"
        )
        return f"@misc{{{self.key}, title = {{{{{self.title}}}}}, {where}, year = {{{self.year}}}}}"


PAPERS: tuple[Paper, ...] = (
    Paper(
        "sosd2026", "SoSD",
        "The Stability of Singular Distribution: A Spectral Perspective on the Two-Phase Dynamics of Language Model "
        "Pre-training", "2605.26489",
    ),
    Paper(
        "lifecycle2026", "Spectral Lifecycle",
        "The Spectral Lifecycle of Transformer Training: Transient Compression Waves, Persistent Spectral Gradients, "
        "and the Q/K–V Asymmetry", "2604.22778",
    ),
    Paper(
        "extramerge2026", "Extra-Merge",
        "Extra-Merge: Tracing the Rank-1 Subspace of Model Merging in Language Model Pre-Training", "2605.26484",
    ),
    Paper("royvetterli2007", "Roy & Vetterli", "The effective rank: a measure of effective dimensionality",
          source="EUSIPCO 2007", year=2007),
)  # fmt: skip
SOFTWARE = "@software{spectra_cli, title = {{spectra: singular values of every weight matrix over a training run}}}"


def paper(key: str) -> Paper:
    """Return a paper by its key."""
    return next(paper for paper in PAPERS if paper.key == key)
