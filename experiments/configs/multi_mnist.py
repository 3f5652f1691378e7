"""The preset `multi_mnist`, by the path of a file."""

from dualgan_jax.presets.multi_mnist import *  # noqa: F403
