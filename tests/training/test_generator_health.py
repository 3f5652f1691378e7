"""A generator that collapses is noticed; a healthy one is left alone."""

import pytest

from dualgan_jax import run
from dualgan_jax.config import objectives
from dualgan_jax.presets import digits

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def teachers(tmp_path_factory):
  """Small teachers that know their digits."""
  workdir = tmp_path_factory.mktemp('runs') / 'teachers'
  run(_config(), str(workdir), stage='pretrain')
  return workdir


def _config():
  config = digits.get_config('smoke')
  config.pretrain.steps = 150
  config.generator.steps = 200
  return config


def _warnings(config, teachers, tmp_path, capsys):
  run(config, str(tmp_path / 'run'), stage='generator', init_from=str(teachers))
  lines = capsys.readouterr().err.splitlines()
  return [line for line in lines if 'warning' in line]


def test_an_empty_generator_is_noticed_within_200_steps(
  teachers, tmp_path, capsys
):
  config = _config()
  # "No label at all" is the optimum of Eq. 6 and 7 alone.
  config.objective = objectives.paper(num_labels=10)
  config.objective.update({'alpha': 0.0, 'beta': 0.0, 'gamma': 10.0})
  (line,) = _warnings(config, teachers, tmp_path, capsys)
  assert line.startswith('generator/train: warning: at step 1')
  assert 'empty: 0.00 labels per image' in line


def test_a_healthy_generator_is_left_alone(teachers, tmp_path, capsys):
  assert _warnings(_config(), teachers, tmp_path, capsys) == []
