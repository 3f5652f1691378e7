"""Random keys of a run, and trainings that are not repeated."""

import jax
import numpy as np
import optax
import pytest

from dualgan_jax.experiment import workdir
from dualgan_jax.experiment.context import RunContext
from dualgan_jax.training import metrics_log
from tests import tiny


class _Config:
  seed, log_every, save_every, save_minutes, steps_per_call = 3, 1, 0, 60.0, 1
  student_seed = None


@pytest.fixture
def run_context(tmp_path):
  with workdir.Workdir(str(tmp_path)) as folder:
    folder.stage('generator').mkdir()
    run_context = RunContext(_Config(), None, folder, jax.devices()[:2])
    run_context._log = metrics_log.MetricsLog(folder.stage('generator'))
    yield run_context
    run_context._log.close()


def test_keys_are_of_a_seed_and_a_name(run_context):
  keys = {name: tuple(run_context.key(name)) for name in ('dual/1', 'dual/2')}
  assert keys == {name: tuple(run_context.key(name)) for name in keys}
  assert keys['dual/1'] != keys['dual/2']
  run_context.config.seed = 4
  assert tuple(run_context.key('dual/1')) != keys['dual/1']


def test_a_students_seed_changes_its_keys_only(run_context):
  names = ('pretrain/low', 'generator/train', 'dual/1', 'targetnet', 'refine')
  before = {name: tuple(run_context.key(name)) for name in names}
  run_context.config.student_seed = 4
  changed = {
    name for name in names if tuple(run_context.key(name)) != before[name]
  }
  assert changed == {'dual/1', 'targetnet', 'refine'}


def test_what_is_trained_is_read_and_not_trained_again(run_context):
  phase = tiny.generator_phase(optax.sgd(0.1))
  trained = run_context.train(phase)
  assert int(trained.step) == 3
  spent = run_context._seconds
  assert spent > 0
  run_context._seconds = 0.0
  again = run_context.train(phase)
  jax.tree.map(np.testing.assert_array_equal, again, trained)
  assert 0 < run_context._seconds <= spent  # what it took then, as it was saved
