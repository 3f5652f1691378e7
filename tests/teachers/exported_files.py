"""Files of torch.export that tests change, and refuse."""

import pytest

from dualgan_jax.errors import UserError
from dualgan_jax.teachers.teacher import Teacher
from tests import torch_exports
from tests.paths import FILES

NEWEST = FILES / torch_exports.FILES_BY_VERSION['2.13']
LABELS = tuple('abcde')
GRAPH = 'models/model.json'


def make_teacher(path=NEWEST, **options):
  """Makes a teacher of a file with five labels."""
  return Teacher.from_torch_export(path, **{'labels': LABELS, **options})


def refuse(path, message, **options):
  """Checks that a file is refused, in one line."""
  with pytest.raises(UserError, match=message) as caught:
    make_teacher(path, **options)
  assert '\n' not in str(caught.value)


def change_member(tmp_path, change, member=GRAPH):
  """Changes a JSON of the newest file, in a copy."""
  return torch_exports.changed_copy(
    NEWEST,
    tmp_path / 'changed.pt2',
    {member: torch_exports.changed_json(change)},
  )


def change_node(tmp_path, target, change):
  """Changes the first call of an operation."""

  def change_program(program):
    nodes = program['graph_module']['graph']['nodes']
    change(next(node for node in nodes if target in node['target']))

  return change_member(tmp_path, change_program)
