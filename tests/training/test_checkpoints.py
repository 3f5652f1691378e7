import errno
import itertools
import os
import resource
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

from dualgan_jax.errors import TrainingError, UserError
from dualgan_jax.training.checkpoints import Checkpoints
from dualgan_jax.training.phase import adam, first_state
from tests.paths import ROOT


def _init(key, optimiser=None, **changes):
  params = {
    'kernel': jax.random.normal(key, (3, 2)),
    'bias': jnp.zeros(2),
    **changes,
  }
  params = {name: value for name, value in params.items() if value is not None}
  optimiser = adam(1e-3, 10) if optimiser is None else optimiser
  return first_state(key, params, {'mean': jnp.ones(3)}, optimiser)


def _state(seed=3):
  return jax.tree.map(np.asarray, _init(jax.random.PRNGKey(seed)))


def _abstract(**changes):
  return jax.eval_shape(
    lambda key: _init(key, **changes), jax.random.PRNGKey(0)
  )


def _assert_same(actual, expected):
  assert jax.tree.structure(actual) == jax.tree.structure(expected)
  for actual_leaf, expected_leaf in zip(
    jax.tree.leaves(actual), jax.tree.leaves(expected)
  ):
    assert isinstance(actual_leaf, np.ndarray)
    assert actual_leaf.dtype == expected_leaf.dtype
    np.testing.assert_array_equal(actual_leaf, expected_leaf)


def _assert_one_sentence(error, *parts):
  assert '\n' not in str(error.value)
  for part in parts:
    assert str(part) in str(error.value)


def _run_in_another_process(function, folder):
  """Calls a function of this file in a process of its own.

  When one of TensorStore's reads or writes fails, the others end later, without
  the event loop that waited for them, and pytest would blame any test that runs
  by then.
  """
  code = (
    'import pathlib, sys; from tests.training import test_checkpoints; '
    f'test_checkpoints.{function}(pathlib.Path(sys.argv[1]))'
  )
  return subprocess.run(
    [sys.executable, '-c', code, str(folder)],
    cwd=ROOT,
    capture_output=True,
    text=True,
  )


@pytest.fixture
def folder(tmp_path):
  return tmp_path / 'generator' / 'checkpoints'


@pytest.fixture
def saved(folder):
  """A folder with one checkpoint, of step 2."""
  checkpoints = Checkpoints(folder)
  checkpoints.save(2, _state(), 1.5)
  yield checkpoints
  checkpoints.close()


def test_a_saved_state_comes_back_bit_for_bit(saved, folder):
  saved.close()
  restored, seconds = Checkpoints(folder).restore(2, _abstract())
  _assert_same(restored, _state())
  assert seconds == 1.5
  assert restored.step.dtype == np.int32
  assert restored.key.dtype == np.uint32
  # Optax's own classes, not tuples or dicts of the same content.
  assert isinstance(restored.opt_state[0], optax.ScaleByAdamState)


def test_odd_values_come_back_too(folder):
  odd_values = np.array([-0.0, 1e-45, 3.4e38, 0.1, 1 / 3, -1e-38], np.float32)
  checkpoints = Checkpoints(folder)
  checkpoints.save(1, {'w': odd_values, 'none': {}, 'nothing': ()}, 0.0)
  abstract = {
    'w': jax.ShapeDtypeStruct((6,), np.float32),
    'none': {},
    'nothing': (),
  }
  restored, _ = checkpoints.restore(1, abstract)
  assert (
    restored['w'].tobytes() == odd_values.tobytes()
  )  # -0.0 == 0.0, but not here
  assert restored['none'] == {}
  assert restored['nothing'] == ()


def test_the_newest_two_are_kept(folder):
  checkpoints = Checkpoints(folder)
  for step in (5, 10, 20):
    checkpoints.save(step, _state(seed=step), float(step))
  assert checkpoints.steps() == [10, 20]
  assert Checkpoints(folder).steps() == [10, 20]
  for step in (10, 20):
    restored, seconds = checkpoints.restore(step, _abstract())
    _assert_same(restored, _state(seed=step))
    assert seconds == step


def test_looking_makes_no_folder(folder):
  assert Checkpoints(folder).steps() == []
  assert not folder.exists()


def test_no_damaged_file_gives_wrong_numbers(saved, folder):
  process = _run_in_another_process('_damage_every_file', folder)
  assert (process.returncode, process.stderr) == (
    0,
    '',
  )  # no tracebacks, either
  # The numbers, their names, the seconds.
  assert int(process.stdout) >= 9


def _damage_every_file(folder):
  checkpoint, folder_copy, num_refused = folder / '2', folder.parent / 'copy', 0
  files = sorted(path for path in checkpoint.rglob('*') if path.is_file())
  generator = np.random.default_rng(0)
  for file, damage in itertools.product(files, ('delete', 'cut', *'flip')):
    file_bytes = bytearray(file.read_bytes())
    if damage not in ('delete', 'cut') and not file_bytes:
      continue
    shutil.copytree(folder, folder_copy)
    damaged = folder_copy / '2' / file.relative_to(checkpoint)
    if damage == 'delete':
      damaged.unlink()
    elif damage == 'cut':
      damaged.write_bytes(file_bytes[: len(file_bytes) // 2])
    else:  # one bit somewhere, once for each letter
      file_bytes[generator.integers(len(file_bytes))] ^= (
        1 << generator.integers(8)
      )
      damaged.write_bytes(file_bytes)
    checkpoints = Checkpoints(folder_copy)
    try:
      # Some files hold nothing that the state needs.
      restored, seconds = checkpoints.restore(2, _abstract())
      _assert_same(restored, _state())
      assert seconds == 1.5
    except UserError as error:
      num_refused += 1
      assert str(folder_copy / '2') in str(error)
      assert '\n' not in str(error)
    checkpoints.close()
    shutil.rmtree(folder_copy)
  print(num_refused)


def test_an_emptied_checkpoint_is_named(saved, folder):
  shutil.rmtree(folder / '2')
  (folder / '2').mkdir()
  with pytest.raises(UserError) as error:
    Checkpoints(folder).restore(2, _abstract())
  _assert_one_sentence(error, folder / '2', f'delete {folder}')


def _noise(seed):
  """Makes an array too large to be stored with its name, and incompressible."""
  return {'w': np.random.default_rng(seed).normal(size=(100, 100))}


def _noise_shapes():
  return {'w': jax.ShapeDtypeStruct((100, 100), np.float64)}


def _flip(folder):
  """Flips one bit of the largest file."""
  file = max(
    folder.rglob('*'), key=lambda path: path.is_file() * path.stat().st_size
  )
  file_bytes = bytearray(file.read_bytes())
  file_bytes[len(file_bytes) // 2] ^= 1
  file.write_bytes(file_bytes)


def _files(folder):
  return {
    path.relative_to(folder): path.read_bytes()
    for path in folder.rglob('*')
    if path.is_file()
  }


@pytest.fixture
def damaged(folder):
  """A folder with checkpoints of steps 2 and 4, the newer one damaged."""
  checkpoints = Checkpoints(folder)
  for step in (2, 4):
    checkpoints.save(step, _noise(step), step / 2)
  checkpoints.close()
  _flip(folder / '4')
  return folder


def test_a_damaged_checkpoint_is_set_aside_for_the_one_before(damaged, capsys):
  damaged_files = _files(damaged / '4')
  checkpoints = Checkpoints(damaged)
  step, restored, seconds = checkpoints.restore_newest(_noise_shapes)
  _assert_same(restored, _noise(2))
  assert (step, seconds) == (2, 1.0)
  printed = capsys.readouterr().err
  moved_folder = damaged.parent / 'checkpoints.damaged-4'
  for text in (
    damaged / '4',
    'w is not what was saved',
    'step 2',
    moved_folder,
  ):
    assert str(text) in printed
  assert _files(moved_folder) == damaged_files
  # The training gets there once more, and once more it is damaged.
  checkpoints.save(4, _noise(4), 2.0)
  _assert_same(checkpoints.restore_newest(_noise_shapes)[1], _noise(4))
  _flip(damaged / '4')
  assert Checkpoints(damaged).restore_newest(_noise_shapes)[0] == 2
  assert _files(moved_folder) == damaged_files


def test_without_a_good_checkpoint_nothing_is_moved(damaged):
  _flip(damaged / '2')
  damaged_files = _files(damaged)
  with pytest.raises(UserError) as error:
    Checkpoints(damaged).restore_newest(_noise_shapes)
  _assert_one_sentence(error, damaged / '4', f'delete {damaged} to train')
  assert _files(damaged) == damaged_files


def test_without_checkpoints_a_phase_begins_at_step_0(folder):
  assert Checkpoints(folder).restore_newest(_abstract) == (0, None, 0.0)


@pytest.mark.parametrize(
  'changes',
  [
    {'kernel': jnp.zeros((3, 4))},
    {'kernel': jnp.zeros((2, 3))},  # as many numbers
    {'kernel': jnp.zeros(())},
    {'bias': None},
    {'more': jnp.zeros(2)},
    {'bias': None, 'renamed': jnp.zeros(2)},
    {'bias': {'inner': jnp.zeros(2)}},
    {'optimiser': optax.sgd(0.1)},
    {'optimiser': optax.sgd(0.1, momentum=0.9)},
  ],
  ids=[
    'wider',
    'transposed',
    'scalar',
    'less',
    'more',
    'renamed',
    'deeper',
    'sgd',
    'momentum',
  ],
)
def test_another_net_is_refused(saved, folder, changes):
  with pytest.raises(UserError) as error:
    saved.restore(2, _abstract(**changes))
  _assert_one_sentence(error, folder / '2')
  _assert_same(saved.restore(2, _abstract())[0], _state())


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_named(saved, value):
  bad_state = _state()
  bad_state = bad_state.replace(
    params={**bad_state.params, 'bias': np.float32([0, value])}
  )
  with pytest.raises(TrainingError) as error:
    saved.save(4, bad_state, 3.0)
  _assert_one_sentence(error, 'bias', 'not finite', 'step 4', 'step 2')
  assert 'kernel' not in str(error.value)
  assert saved.steps() == [2]
  _assert_same(saved.restore(2, _abstract())[0], _state())


def test_the_optimisers_state_is_looked_at_too(saved):
  bad_state = jax.tree.map(np.copy, _state())
  bad_state.opt_state[0].nu['kernel'][0, 0] = np.inf
  with pytest.raises(TrainingError, match=r'opt_state.*nu.*kernel'):
    saved.save(4, bad_state, 3.0)
  assert saved.steps() == [2]


@pytest.mark.parametrize(
  'disk_error',
  [
    OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
    # TensorStore, which writes the arrays for Orbax, words it so.
    ValueError(
      'RESOURCE_EXHAUSTED: Error writing local file "d/0": Failed to write '
      "113 bytes to file 16: No space left on device [os_error_code='28']"
    ),
  ],
  ids=['enospc', 'quota', 'tensorstore'],
)
def test_a_full_disk_is_one_sentence(saved, folder, monkeypatch, disk_error):
  def fail(*args, **kwargs):
    raise disk_error

  with monkeypatch.context() as patches:
    patches.setattr(ocp.CheckpointManager, 'save', fail)
    with pytest.raises(TrainingError) as error:
      saved.save(4, _state(seed=4), 3.0)
  _assert_one_sentence(error, folder, 'the disk is full', 'step 4')
  assert saved.steps() == [2]
  _assert_same(saved.restore(2, _abstract())[0], _state())
  # There is room again.
  saved.save(4, _state(seed=4), 3.0)
  _assert_same(saved.restore(4, _abstract())[0], _state(seed=4))


def test_no_memory_to_read_it_is_no_damage(saved, monkeypatch):
  def fail(*args, **kwargs):
    raise MemoryError

  monkeypatch.setattr(ocp.CheckpointManager, 'restore', fail)
  with pytest.raises(MemoryError):
    saved.restore_newest(_abstract)
  assert saved.steps() == [2]


def test_a_disk_that_takes_no_more(saved, folder):
  process = _run_in_another_process('_save_too_much', folder)
  assert (process.returncode, process.stderr) == (0, '')
  assert str(folder) in process.stdout
  assert 'step 4' in process.stdout
  assert len(process.stdout.splitlines()) == 1
  reopened = Checkpoints(folder)
  assert reopened.steps() == [2]
  _assert_same(reopened.restore(2, _abstract())[0], _state())


def _save_too_much(folder):
  # No file may grow beyond 64 KiB: the write fails deep inside Orbax.
  resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
  noise = np.random.default_rng(0).normal(size=100_000).astype(np.float32)
  try:
    Checkpoints(folder).save(4, {'w': noise}, 3.0)
  except TrainingError as error:
    print(error)


def test_a_killed_save_leaves_no_checkpoint(saved, folder, monkeypatch):
  class Killed(BaseException):
    pass

  rename = os.rename

  def die(source, target, *args, **kwargs):
    # The last act of a save is to give the folder its name.
    if os.path.basename(target) == '4':
      raise Killed
    rename(source, target, *args, **kwargs)

  with monkeypatch.context() as patches:
    patches.setattr(os, 'rename', die)
    with pytest.raises(Killed):
      saved.save(4, _state(seed=4), 3.0)
  leftover_folders = [
    path for path in folder.iterdir() if path.name.startswith('4.')
  ]
  assert any(path.is_file() for path in leftover_folders[0].rglob('*'))

  reopened = Checkpoints(folder)
  assert reopened.steps() == [2]
  _assert_same(reopened.restore(2, _abstract())[0], _state())
  reopened.save(4, _state(seed=5), 3.0)
  assert Checkpoints(folder).steps() == [2, 4]
  _assert_same(reopened.restore(4, _abstract())[0], _state(seed=5))
