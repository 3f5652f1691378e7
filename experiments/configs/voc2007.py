"""The preset `voc2007`, by the path of a file."""

from dualgan_jax.presets.voc2007 import *  # noqa: F403
