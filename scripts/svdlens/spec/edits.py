"""What edits, their targets and their controls are called."""

BEST, BEST_MATRIX = "best", "ov"
"""What the configuration calls the direction that labels choose (edit/choice.py), and its kind of matrix."""
PROPORTIONAL, FITTED = "proportional", "fitted"
"""Values of `eps`: -1 in proportion to the cosines of a trace; that with the largest effect on half of the prompts."""
ONE_PROMPT = (
    "fitted takes one half of the prompts to fit, and the other to measure, and there is 1 prompt. Give two at least, "
    "or a number as eps."
)
DIRECTION, OTHER, RANDOM = "direction", "other_directions", "random_directions"
"""What is scaled: the directions of the edit, others of the same matrices, random ones."""
MATCHED = "matched_tokens"
"""The control that is the edit itself, and tokens matched with the targets in frequency."""
CONCEPT, OPPOSITE = "concept", "opposite"
"""The targets: tokens of the edited directions at their sign, or at the opposite one."""
LISTED, WRITTEN = "listed", "written"
"""Where the targets of the concept come from: lists of the directions, or prompts that a person wrote."""


def plain_eps(eps: float | str) -> float | str:
    """The eps that proportions are of; FITTED stays."""
    return -1.0 if eps == PROPORTIONAL else eps
