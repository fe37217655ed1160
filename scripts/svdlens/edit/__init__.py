"""Singular directions scaled in the weights of a model."""
