"""Finds the folder of a data set, without reading any data."""

import os
import pathlib

from dualgan_jax.config.fields import DataSet
from dualgan_jax.errors import UserError


def find(data_name: str, data_config: DataSet) -> pathlib.Path | None:
  """Finds the folder that a data set is read from.

  Args:
    data_name: the set's name in the config, for messages.
    data_config: the config's group `data.<data_name>`.

  Returns:
    The folder; None for a set of the Hub, or one that scikit-learn bundles.

  Raises:
    UserError: there is no such folder.
  """
  if not data_config.path:
    return None
  folder = pathlib.Path(os.path.expanduser(data_config.path))
  # Unlike `Path.is_dir`, it does not raise for a name that is too long.
  if not os.path.isdir(folder):
    raise UserError(
      f'data.{data_name}.path: there is no folder {folder}; give one that '
      'datasets.load_dataset reads, or none to get '
      f'{data_config.source} from the Hugging Face Hub.'
    )
  return folder
