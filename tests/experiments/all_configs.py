"""All configs of ours, with their variants."""

import functools
import importlib
import itertools
import pkgutil

from dualgan_jax.config import schema
from experiments import configs, tabulate


@functools.cache
def config_modules():
  """Returns the modules of our configs, by name."""
  modules = {
    module_info.name: importlib.import_module(
      f'{configs.__name__}.{module_info.name}'
    )
    for module_info in pkgutil.iter_modules(configs.__path__)
  }
  return {
    name: module
    for name, module in modules.items()
    if (tabulate.NOTES[0].parent / f'{name}.md').exists()
    and hasattr(module, 'get_config')
  }


@functools.cache
def checked_configs():
  """Builds every config of ours, with none, one or two of its variants."""
  checked_configs = []
  for module in config_modules().values():
    for num_variants in range(3):
      names = getattr(module, 'VARIANTS', {})
      for variants in itertools.combinations(names, num_variants):
        try:
          config = module.get_config(*filter(None, [','.join(variants)]))
        except ValueError:  # they exclude one another
          assert num_variants == 2
          continue
        checked_configs.append(schema.check(config))
  return checked_configs
