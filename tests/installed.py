"""Uses an installed package as somebody without a checkout does.

    python tests/installed.py WORKDIR

imports each module of the installed `dualgan_jax`, and runs the digits
experiment's `:smoke` in WORKDIR. `nox -s wheel` calls it.
"""

import importlib
import pathlib
import pkgutil
import sys

import dualgan_jax

_CHECKOUT = pathlib.Path(__file__).resolve().parents[1]


def main() -> None:
  """Imports all modules, and trains."""
  place = pathlib.Path(dualgan_jax.__file__).parent
  assert _CHECKOUT not in place.parents or 'site-packages' in place.parts, (
    f'{place} is of the checkout; install a wheel.'
  )
  modules = [*pkgutil.walk_packages([str(place)], 'dualgan_jax.')]
  for module in modules:
    importlib.import_module(module.name)
  print(f'{len(modules)} modules of {place} can be imported')

  # A user's config file lies anywhere; ours are no part of the package.
  sys.path.append(str(_CHECKOUT))
  from experiments.configs import digits

  (workdir,) = sys.argv[1:]
  results = dualgan_jax.run(digits.get_config('smoke'), workdir)
  print(f'compact: {results["metrics"]["compact"]["top1"]:.4f}')


if __name__ == '__main__':
  main()
