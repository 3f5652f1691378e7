"""The preset `digits`, by the path of a file."""

from dualgan_jax.presets.digits import *  # noqa: F403
