"""From a concept, given as words, to the directions of a model that it lies along."""
