"""Teachers of a user's own file, and what one sentence says of bad ones."""

import pathlib
import shutil
import sys

import chex
import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from flax import traverse_util
from safetensors.numpy import save_file

from dualgan_jax.config import builders
from dualgan_jax.errors import UserError
from dualgan_jax.experiment import run
from dualgan_jax.teachers import fingerprint, forward, protocol, user_module
from experiments import flax_teacher
from tests import others

IMAGE = (32, 32, 3)


@pytest.fixture
def example(tmp_path):
  """The example, with variables beside it."""
  path = tmp_path / 'flax_teacher.py'
  shutil.copy(flax_teacher.__file__, path)
  x, variables = np.zeros((1, *IMAGE), np.float32), {}
  parts = {
    'block_1': flax_teacher.Stage(8),
    'block_2': flax_teacher.Stage(16),
    'head': flax_teacher.Head(),
  }
  for name, part in parts.items():
    x, variables[name] = part.init_with_output(jax.random.PRNGKey(3), x)
  flat = traverse_util.flatten_dict(variables, sep='/')
  save_file(
    {name: np.asarray(leaf) for name, leaf in flat.items()},
    path.with_suffix('.safetensors'),
  )
  return str(path)


def test_variables_can_come_from_an_orbax_folder(example, tmp_path):
  reference = user_module.load('f', example).variables
  names = ('block_1', 'block_2', 'head')
  with ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(
      tmp_path / 'orbax', dict(zip(names, reference, strict=True))
    )
  pathlib.Path(example).with_suffix('.safetensors').unlink()
  code = pathlib.Path(example).read_text()
  read = (
    'traverse_util.unflatten_dict(\n'
    "    weight_files.read(_VARIABLES_PATH), sep='/'\n  )"
  )
  assert read in code
  path = tmp_path / 'of_orbax.py'
  path.write_text(
    'import orbax.checkpoint as ocp\n'
    + code.replace(
      read, f'ocp.StandardCheckpointer().restore({str(tmp_path / "orbax")!r})'
    )
  )
  teacher = user_module.load('f', str(path))
  protocol.check_teacher('f', teacher, IMAGE)
  chex.assert_trees_all_equal(teacher.variables, reference)


def _config(path, **changes):
  config = others.get_config('')
  config.labels = ('both', 'left')
  config.student = builders.conv((4, 5), (2, 2))
  config.generator.widths = (8, 4)
  config.teachers = {'mine': {**builders.module(path), **changes}}
  return config


def test_the_example_is_a_teacher(example):
  teacher = user_module.load('teachers.mine.module', example)
  protocol.check_teacher('teachers.mine.module', teacher, IMAGE)
  x = np.random.default_rng(0).random((2, *IMAGE), np.float32)
  actual = forward.tail(teacher, teacher.variables, x, 0)
  reference = (x - 0.5) / 0.25
  parts = (flax_teacher.Stage(8), flax_teacher.Stage(16), flax_teacher.Head())
  for part, part_variables in zip(parts, teacher.variables, strict=True):
    reference = part.apply(part_variables, reference)
  np.testing.assert_allclose(actual, reference, rtol=1e-5, atol=1e-5)


def test_a_config_takes_labels_from_the_file(example):
  report = run.dry_run(_config(example), 'unused')
  assert f'mine ({example}) answers left, right, both: ' in report
  assert 'F_g^1 16×16×4 after block 1: mine 16×16×8' in report


@pytest.mark.parametrize(
  ('changes', 'raised'),
  [
    ({'labels': ('left',)}, 'labels: .* has the labels left, right, both'),
    ({'sha256': '00'}, 'sha256: .* has the sum'),
  ],
)
def test_a_config_that_disagrees_with_its_file_is_named(
  example, changes, raised
):
  with pytest.raises(UserError, match=rf'^teachers\.mine\.{raised}'):
    run.dry_run(_config(example, **changes), 'unused')


def test_the_sum_changes_with_the_file_and_with_the_variables(example):
  teacher = user_module.load('f', example)
  first = fingerprint.of_file('f', example, teacher)
  assert first == fingerprint.of_file('f', example, teacher)
  variables = jax.tree.map(lambda x: x + 1, teacher.variables)
  other = teacher.replace(variables=variables)
  assert first != fingerprint.of_file('f', example, other)
  with pathlib.Path(example).open('a') as file:
    file.write('\n')
  assert first != fingerprint.of_file('f', example, teacher)


def test_variables_that_are_no_arrays_are_named(example):
  teacher = user_module.load('f', example)
  wrong = teacher.replace(variables=({'params': {'w': 'text'}}, {}, {}))
  with pytest.raises(
    UserError, match=r"^f: variables\[0\]\['params'\]\['w'\] is no array"
  ):
    fingerprint.of_file('f', example, wrong)


@pytest.mark.parametrize(
  ('code', 'raised'),
  [
    (None, 'there is no file'),
    ('1 +', 'fails .SyntaxError'),
    ('import sys; sys.exit()', 'ends the program; let it read no'),
    ('import nothing_of_this_name', 'fails .ModuleNotFoundError'),
    ('def get_teacher():\n  raise KeyError("x")', 'fails .KeyError'),
    (
      'get_teacher = lambda: 3',
      r'get_teacher\(\) of .* must be a dualgan_jax.Teacher, but is a int',
    ),
    (
      'from dualgan_jax import Teacher\n'
      'def get_teacher():\n  return Teacher("t", (), 3, None, ())',
      'blocks .* is a int; make it a tuple',
    ),
    (
      'from dualgan_jax import Teacher\n'
      'def get_teacher():\n'
      '  return Teacher("t", ("a",), (), None, {"params": 1})',
      'variables .* is a dict; make it a tuple',
    ),
    (
      'from dualgan_jax import Teacher\n'
      'def get_teacher():\n  return Teacher("t", (1, 2), (), None, ())',
      '1, is of type int, but must be text',
    ),
    ('x = 1', r'must define get_teacher\(\), which returns'),
  ],
)
def test_a_file_that_makes_no_teacher_is_one_sentence(tmp_path, code, raised):
  path = tmp_path / 'x.py'
  if code is not None:
    path.write_text(code)
  with pytest.raises(UserError, match=f'^teachers.mine.module: .*{raised}'):
    user_module.load('teachers.mine.module', str(path))


def test_a_file_may_import_what_lies_beside_it(tmp_path, monkeypatch):
  (tmp_path / 'beside_it.py').write_text('LABELS = ("a",)\n')
  path = tmp_path / 'x.py'
  path.write_text(
    'import sys\n'
    'from beside_it import LABELS\n'
    'from dualgan_jax import Teacher\n'
    'sys.path.insert(0, "its own")\n'
    'def get_teacher():\n'
    '  return Teacher("t", LABELS, (str, str), str, ({}, {}, {}))\n'
  )
  with monkeypatch.context() as m:
    m.setattr(sys, 'path', before := list(sys.path))
    expected = ['its own', *before]
    assert user_module.load('f', str(path)).labels == ('a',)
    assert sys.path == expected


def test_files_of_different_folders_may_have_helpers_of_one_name(tmp_path):
  for label in 'ab':
    (tmp_path / label / 'nets').mkdir(parents=True)
    (tmp_path / label / 'my_labels.py').write_text(f'LABEL = {label!r}\n')
    (tmp_path / label / 'nets' / 'wide.py').write_text(f'NAME = {label!r}\n')
    (tmp_path / label / 'x.py').write_text(
      'import my_labels, nets.wide\n'
      'from dualgan_jax import Teacher\n'
      'def get_teacher():\n'
      '  labels = my_labels.LABEL, 2 * nets.wide.NAME\n'
      '  return Teacher("t", labels, (str, str), str, ({}, {}, {}))\n'
    )
  before = set(sys.modules)
  for label in 'ab':
    actual = user_module.load('f', str(tmp_path / label / 'x.py'))
    assert actual.labels == (label, 2 * label)
  assert set(sys.modules) == before


def test_what_lies_deeper_is_imported_once(tmp_path):
  # As the packages of a virtual environment beside the file.
  (tmp_path / 'deep').mkdir()
  (tmp_path / 'deep' / 'imported_once.py').write_text('')
  path = tmp_path / 'x.py'
  path.write_text(
    'import pathlib, sys\n'
    'deep = str(pathlib.Path(__file__).parent / "deep")\n'
    'sys.path.append(deep)\n'
    'import imported_once\n'
    'sys.path.remove(deep)\n'
    'from dualgan_jax import Teacher\n'
    'def get_teacher():\n'
    '  return Teacher("t", ("a",), (str, str), str, ({}, {}, {}))\n'
  )
  user_module.load('f', str(path))
  assert sys.modules.pop('imported_once')


def test_a_file_that_was_edited_is_read_again(example):
  assert 'answers left, right, both' in run.dry_run(_config(example), 'unused')
  path = pathlib.Path(example)
  path.write_text(path.read_text().replace("'right'", "'wrong'"))
  assert 'answers left, wrong, both' in run.dry_run(_config(example), 'unused')


def test_lists_will_do(tmp_path):
  path = tmp_path / 'x.py'
  path.write_text(
    'from dualgan_jax import Teacher\n'
    'def get_teacher():\n'
    '  return Teacher("t", ["a"], [str, str], str, [{}, {}, {}])\n'
  )
  actual = user_module.load('f', str(path))
  assert actual.labels == ('a',)
  assert actual.blocks == (str, str)
  assert actual.variables == ({}, {}, {})


def test_half_precision_is_widened(tmp_path):
  # Adam divides by the root of a square of a gradient + 1e-8: by 0 in float16.
  path = tmp_path / 'x.py'
  path.write_text(
    'import jax.numpy as jnp\n'
    'from dualgan_jax import Teacher\n'
    'def get_teacher():\n'
    '  kinds = (jnp.float16, jnp.bfloat16, jnp.float32, jnp.int8)\n'
    '  own = {"params": [jnp.full(2, 3, kind) for kind in kinds]}\n'
    '  return Teacher("t", ("a",), (str, str), str, (own, {}, {}))\n'
  )
  leaves = jax.tree.leaves(user_module.load('f', str(path)).variables)
  assert [x.dtype for x in leaves] == [*[np.float32] * 3, np.int8]
  for x in leaves:
    np.testing.assert_array_equal(x, 3)
