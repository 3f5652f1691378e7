"""`dualgan_jax.config.builders`, as users' configs import it."""

import warnings
from typing import Any

from dualgan_jax.config import builders
from dualgan_jax.config.builders import *  # noqa: F403


def varied(*arguments: Any) -> Any:
  """Calls `apply_variants`, as it is called now."""
  warnings.warn(
    'base.varied is now builders.apply_variants', DeprecationWarning, 2
  )
  return builders.apply_variants(*arguments)
