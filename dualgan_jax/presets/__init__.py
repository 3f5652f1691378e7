"""Experiments that come with the package, by name: `--config=digits`."""

import pathlib
import pkgutil


def list_presets() -> list[str]:
  """Lists the names of all presets, in alphabetical order."""
  return sorted(
    module_info.name for module_info in pkgutil.iter_modules(__path__)
  )


def find_preset(preset_name: str) -> pathlib.Path:
  """Returns the path of a preset's Python file.

  Args:
    preset_name: one of `list_presets()`.
  """
  return pathlib.Path(__file__).with_name(f'{preset_name}.py')
