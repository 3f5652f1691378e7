"""The preset `cifar10`, by the path of a file."""

from dualgan_jax.presets.cifar10 import *  # noqa: F403
