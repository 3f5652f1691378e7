"""The preset `federated`, by the path of a file."""

from dualgan_jax.presets.federated import *  # noqa: F403
