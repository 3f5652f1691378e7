"""The preset `mnist`, by the path of a file."""

from dualgan_jax.presets.mnist import *  # noqa: F403
