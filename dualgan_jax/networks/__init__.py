"""Linen modules: classifiers in blocks, the generator, the filters."""
