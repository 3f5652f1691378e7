"""Experiments that come with the package, by name: `--config=digits`."""

import pathlib
import pkgutil


def names() -> list[str]:
  """Lists the presets."""
  return sorted(module.name for module in pkgutil.iter_modules(__path__))


def path(name: str) -> pathlib.Path:
  """Finds the Python file of a preset.

  Args:
    name: one of `names`.
  """
  return pathlib.Path(__file__).with_name(f'{name}.py')
