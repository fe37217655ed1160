"""What directions do to the behaviour of a model: slopes of a metric, direct effects, ablation, read-write cards."""
