"""The read-outs: how a direction of the residual stream is turned into a score for each token."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Readout:
    """One read-out.

    name: in tables and the configuration. title: in figures. score: what the score of a token is, in words. switches:
    those of a setting that change which tokens a direction is read as, beyond those that change the direction itself.
    Not vocab_center, which shifts all scores of a direction through W_U alike; nor read_gain, which changes the
    singular vectors wherever it matters to W_E.
    """

    name: str
    title: str
    score: str
    switches: tuple[str, ...]


READOUTS = {
    readout.name: readout
    for readout in (
        Readout(
            "W_U",
            "the unembedding (W_U)",
            "dot product with its column of the unembedding",
            ("unembed_gain", "unembed_center"),
        ),
        Readout(
            "W_E",
            "the embedding (W_E)",
            "dot product with its embedding; of sides that read, after the gain of the norm before the matrix",
            ("write_center",),
        ),
        Readout(
            "pinv_W_E",
            "the pseudo-inverse of the embedding (pinv_W_E)",
            "its coefficient in the combination of embeddings that comes closest to the direction",
            ("write_center",),
        ),
    )
}
"""By name."""
