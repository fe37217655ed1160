"""The read-outs: how a direction of the residual stream is turned into a score for each token."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Readout:
    """One read-out.

    name: in tables and the configuration. title: in figures. score: what the score of a token is, in words. weights:
    whose token vectors it takes, the unembedding or the embedding. form: what is done with them
    (readout/readout_matrix.py). switches: those of a setting that change which tokens a direction is read as, beyond
    those that change the direction itself. Not vocab_center, which shifts all scores of a direction through W_U alike
    and is nothing to token vectors that are centred anyway; nor read_gain, which changes the singular vectors wherever
    it matters to W_E.
    """

    name: str
    title: str
    score: str
    weights: Literal["W_U", "W_E"]
    form: Literal["product", "cosine", "whitened", "pseudo_inverse"]
    switches: tuple[str, ...]

    @property
    def meets_gain(self) -> bool:
        """Whether its token vectors reach a reading matrix through the norm before it, and so meet the gain of that."""
        return self.weights == "W_E" and self.form != "pseudo_inverse"

    @property
    def shifted_by_vocab_center(self) -> bool:
        """Whether vocab_center takes the mean over all tokens from the scores of a direction."""
        return self.weights == "W_U" and self.form == "product"


UNEMBED_SWITCHES = ("unembed_gain", "unembed_center")
EMBED_SWITCHES = ("write_center",)

READOUTS = {
    readout.name: readout
    for readout in (
        Readout(
            "W_U",
            "the unembedding (W_U)",
            "dot product with its column of the unembedding",
            "W_U",
            "product",
            UNEMBED_SWITCHES,
        ),
        Readout(
            "W_U_cosine",
            "the unembedding by cosine (W_U_cosine)",
            "cosine with its column of the unembedding, centred over the vocabulary",
            "W_U",
            "cosine",
            UNEMBED_SWITCHES,
        ),
        Readout(
            "W_U_whitened",
            "the whitened unembedding (W_U_whitened)",
            "cosine with its column of the unembedding, centred and whitened over the vocabulary",
            "W_U",
            "whitened",
            UNEMBED_SWITCHES,
        ),
        Readout(
            "W_E",
            "the embedding (W_E)",
            "dot product with its embedding; of sides that read, after the gain of the norm before the matrix",
            "W_E",
            "product",
            EMBED_SWITCHES,
        ),
        Readout(
            "W_E_cosine",
            "the embedding by cosine (W_E_cosine)",
            "cosine with its embedding, centred over the vocabulary; of sides that read, after that gain",
            "W_E",
            "cosine",
            EMBED_SWITCHES,
        ),
        Readout(
            "W_E_whitened",
            "the whitened embedding (W_E_whitened)",
            "cosine with its embedding, centred and whitened over the vocabulary; of sides that read, after that gain",
            "W_E",
            "whitened",
            EMBED_SWITCHES,
        ),
        Readout(
            "pinv_W_E",
            "the pseudo-inverse of the embedding (pinv_W_E)",
            "its coefficient in the combination of embeddings that comes closest to the direction",
            "W_E",
            "pseudo_inverse",
            EMBED_SWITCHES,
        ),
    )
}
"""By name."""
