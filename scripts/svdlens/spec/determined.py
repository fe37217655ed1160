"""When a singular vector counts as determined by the weights; figures, explorer and docs go by this."""

DETERMINED = 0.9
"""stability_noise from which on a vector is determined: noise turns it by 26 degrees at most (root mean square), and
leaves it four fifths of its square. Below, more than a fifth of what it points at is due to the noise."""
