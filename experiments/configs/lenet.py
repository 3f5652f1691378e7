"""The preset `lenet`, by the path of a file."""

from dualgan_jax.presets.lenet import *  # noqa: F403
