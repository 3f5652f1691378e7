"""The preset `fashion_mnist`, by the path of a file."""

from dualgan_jax.presets.fashion_mnist import *  # noqa: F403
