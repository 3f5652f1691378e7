"""Damages files of torch.export, in their JSON or anywhere."""

import functools
import json
import pathlib
import random

import numpy as np

from dualgan_jax.errors import UserError
from dualgan_jax.teachers.torch_export import exported_net
from tests import torch_exports
from tests.paths import FILES
from tests.trials.fuzz_weights import NUMBERS, Trial, change_bytes

_GRAPH = 'models/model.json'
_TABLE = 'data/weights/model_weights_config.json'
_LOGITS = 'extra/logits.json'
_VALUES = (*NUMBERS, '', 'x', 'as_none', None, True, [], {}, 0.5, float('nan'))


@functools.cache
def _originals():
  """Reads the files, and the tensors of each."""
  paths = [FILES / name for name in torch_exports.FILES_BY_VERSION.values()]
  return [(path, exported_net.read(path).tensors) for path in paths]


def export_trial(numbers: random.Random, folder: pathlib.Path) -> Trial:
  """Damages a file of torch.export."""
  source, tensors = numbers.choice(_originals())
  path = folder / 'last.pt2'
  if numbers.random() < 0.3:
    path.write_bytes(change_bytes(numbers, source.read_bytes()))
    return Trial(path, lambda: _check_tensors(path, tensors))
  members = (_GRAPH, _GRAPH, _GRAPH, _TABLE, _LOGITS)
  member = numbers.choice(members)
  torch_exports.changed_copy(
    source, path, {member: functools.partial(_change_json, numbers)}
  )
  return Trial(path, lambda: _check(path))


def _change_json(numbers, content):
  """Changes values of a JSON, mostly one."""
  root = json.loads(content)
  for _ in range(numbers.choice((1, 1, 1, 2, 3))):
    parent, key = _find_place(numbers, root)
    match numbers.randrange(5):
      case 0:
        parent[key] = numbers.choice(_VALUES)
      case 1:
        del parent[key]
      case 2:
        # What stands elsewhere is likelier to mean something.
        other_parent, other_key = _find_place(numbers, root)
        parent[key] = json.loads(json.dumps(other_parent[other_key]))
      case 3 if type(parent[key]) is int:
        parent[key] += numbers.choice((-1, 1, 2, 100))
      case 4 if isinstance(parent, list):
        parent.insert(key, json.loads(json.dumps(parent[key])))
  return json.dumps(root).encode()


def _find_place(numbers, root):
  """Finds a container in a JSON, and a key of it."""
  parent, key, value = [root], 0, root
  while isinstance(value, dict | list) and value:
    if parent is not root and value is not root and numbers.random() < 0.1:
      break
    parent = value
    keys = list(parent) if isinstance(parent, dict) else range(len(parent))
    key = numbers.choice(keys)
    value = parent[key]
  return parent, key


def _check(path):
  """Reads a file, and chooses where to cut it; computes nothing."""
  net = exported_net.read(path)
  assert net.num_logits > 0
  net.count_operations()
  try:
    cuts = net.choose_cuts()
  except UserError:
    return
  functions, variables = net.cut(cuts)
  assert len(functions) == len(variables) == len(cuts) + 1


def _check_tensors(path, tensors):
  """Compares the tensors of a damaged archive with those of the whole one.

  An archive has sums of all its members.
  """
  actual = exported_net.read(path).tensors
  for name, tensor in tensors.items():
    np.testing.assert_array_equal(actual[name], tensor)
