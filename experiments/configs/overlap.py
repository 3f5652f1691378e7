"""The preset `overlap`, by the path of a file."""

from dualgan_jax.presets.overlap import *  # noqa: F403
