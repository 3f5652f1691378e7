"""`dualgan_jax.config.objectives`, as users' configs import it."""

from dualgan_jax.config.objectives import *  # noqa: F403
