"""What a family of models is, as data: how its stored names and shapes become matrices. Knows no family."""

from __future__ import annotations

from dataclasses import dataclass

# The mixers of state spaces and of linear attention: from the stream into the mixer; from its channels to the step,
# B and C; from the step's factor to the step; back to the stream.
MIXER_ROLES = ("in_proj", "x_proj", "dt_proj", "out_proj")
ROLES = ("q", "k", "v", "o", "gate", "up", "down", "embed", "unembed", "router", *MIXER_ROLES, "other")


@dataclass(frozen=True)
class Split:
    """How one stored tensor holds several matrices.

    view: the sizes of the stored tensor's axes, each axis taken apart into factors; axes are separated by commas,
    factors by spaces, `*` is whatever remains of its axis. Names are those of `dimensions.py`.
    parts: (canonical name, index into that view); an index with `expert` in it is taken once for each expert.
    whole: the index of the fused matrix, for `--fused`. title: the words `inspect` shows. reshape: the sizes to read
    the stored numbers with first, where the file's own axes mean nothing; `rows` and `cols` are the stored sizes.
    swapped: two axes of the view, by number, that change places after it in what becomes q or k: the rows that the
    rotary embedding turns together lie otherwise in the file. Where the config lacks a size for that, the rows stay as
    stored, and a note says so.

    >>> Split("by head", "heads 3 head_dim, *", (("attn.q", ":, 0"), ("attn.k", ":, 1"), ("attn.v", ":, 2"))).title
    'by head'
    """

    title: str
    view: str
    parts: tuple[tuple[str, str], ...]
    whole: str = ""
    reshape: str = ""
    swapped: tuple[int, int] | None = None


@dataclass(frozen=True)
class Rule:
    """One kind of stored tensor: its name in the file, its canonical name, and how it is cut.

    stored: the name after the layer's prefix, or after the model's; `{expert}` stands for a number. becomes: the
    canonical name, or None for a name that stays as it is. split: None where the tensor is one matrix. transposed:
    the file keeps [in, out]. when: a config key and the value it must have for the rule to hold; of several rules
    for one name the first that holds is taken.

    >>> Rule("mlp.dense_h_to_4h.weight", "mlp.up").transposed
    False
    """

    stored: str
    becomes: str | None
    split: Split | None = None
    transposed: bool = False
    when: tuple[str, bool | int | str] | None = None


@dataclass(frozen=True)
class Architecture:
    """A family: which models it covers, what its layers are named, and a rule for each tensor that is a matrix.

    layers: the prefixes a layer's tensors have; `{layer}` stands for the number, `{layer+2}` for a file that
    counts two entries before the first layer, `{stack}` for `encoder` or `decoder`, with which the canonical name
    then begins. in_layer: rules below that prefix, whose canonical names follow
    `layers.N.`; outside: all others. dimensions: (name, config key or number) where the general table of
    `dimensions.py` does not know. tied: whether the unembedding is the embedding where the config does not say.
    signs: endings of stored names to know it by where no config names a family.

    >>> Architecture("mine", ("mine",), ("blocks.{layer}.",), (Rule("q.weight", "attn.q"),)).model_types
    ('mine',)
    """

    name: str
    model_types: tuple[str, ...]
    layers: tuple[str, ...]
    in_layer: tuple[Rule, ...]
    outside: tuple[Rule, ...] = ()
    dimensions: tuple[tuple[str, str | int], ...] = ()
    tied: bool = False
    signs: tuple[str, ...] = ()


def role_of(canonical: str) -> str:
    """Return the role of a canonical name: its last word where that is a role, else `other`.

    `pos_embed` is `other`: it is no token embedding, and a mean over role `embed` should not mix the two.

    >>> [role_of(name) for name in ("layers.3.attn.q", "layers.3.experts.7.up", "embed", "pos_embed", "attn.qkv")]
    ['q', 'up', 'embed', 'other', 'other']
    """
    last = canonical.rsplit(".", 1)[-1]
    return last if last in ROLES else "other"
