import jax
import numpy as np
import optax
import pytest

from dualgan_jax.experiment import context, workdir
from dualgan_jax.training import metrics_log
from tests import tiny


class _Config:
  seed, log_every, save_every, steps_per_call = 3, 1, 10, 1
  student_seed = None


@pytest.fixture
def run_(tmp_path):
  with workdir.Workdir(str(tmp_path)) as folder:
    folder.stage('generator').mkdir()
    own = context.Run(_Config(), None, folder, jax.devices()[:2], ('pretrain',))
    own.log = metrics_log.MetricsLog(folder.stage('generator'))
    yield own
    own.log.close()


def test_keys_are_of_a_seed_and_a_name(run_):
  keys = {name: tuple(run_.key(name)) for name in ('dual/1', 'dual/2')}
  assert keys == {name: tuple(run_.key(name)) for name in keys}
  assert keys['dual/1'] != keys['dual/2']
  run_.config.seed = 4
  assert tuple(run_.key('dual/1')) != keys['dual/1']


def test_a_students_seed_changes_its_keys_only(run_):
  names = ('pretrain/low', 'generator/train', 'dual/1', 'targetnet', 'refine')
  before = {name: tuple(run_.key(name)) for name in names}
  run_.config.student_seed = 4
  changed = {name for name in names if tuple(run_.key(name)) != before[name]}
  assert changed == {'dual/1', 'targetnet', 'refine'}


def test_what_is_trained_is_read_and_not_trained_again(run_):
  phase = tiny.generator_phase(optax.sgd(0.1))
  trained = run_.train(phase)
  assert int(trained.step) == 3
  spent = run_.seconds
  assert spent > 0
  run_.seconds = 0.0
  again = run_.train(phase)
  jax.tree.map(np.testing.assert_array_equal, again, trained)
  assert 0 < run_.seconds <= spent  # what it took then, as it was saved
