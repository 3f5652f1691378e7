"""`dualgan_jax.config.builders`, as users' configs import it."""

from dualgan_jax.config.builders import *  # noqa: F403
