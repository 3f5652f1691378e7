"""Imports every module of the installed package, far from any checkout.

    python tests/installed.py

`nox -s wheel` calls it.
"""

import importlib
import pathlib
import pkgutil

import dualgan_jax

_CHECKOUT = pathlib.Path(__file__).resolve().parents[1]
# Of the extra `export`, which a module of its own needs.
_OPTIONAL_PACKAGES = {'onnx', 'onnxruntime'}


def main() -> None:
  """Imports them, and counts."""
  place = pathlib.Path(dualgan_jax.__file__).parent
  assert _CHECKOUT not in place.parents or 'site-packages' in place.parts, (
    f'{place} is of the checkout; install a wheel.'
  )
  modules = [*pkgutil.walk_packages([str(place)], 'dualgan_jax.')]
  for module in modules:
    try:
      importlib.import_module(module.name)
    except ModuleNotFoundError as error:
      if error.name not in _OPTIONAL_PACKAGES:
        raise
  print(f'{len(modules)} modules of {place} can be imported')


if __name__ == '__main__':
  main()
