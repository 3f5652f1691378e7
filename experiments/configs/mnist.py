"""Two teachers of MNIST, 0-4 and 5-9.

    python -m experiments.main --config=experiments/configs/mnist.py \\
        --workdir=runs/mnist [--config.data.mnist.path=DIR] [--config.seed=N]
"""

import ml_collections

from experiments.configs import base, objectives

DIGITS = tuple('0123456789')


def get_config(variants: str = '') -> ml_collections.ConfigDict:
  """The config; variants, separated by commas: own, plain, dafl and paper."""
  config = base.get_config()
  config.experiment = 'mnist'
  config.image = (32, 32, 1)
  config.labels = DIGITS  # Y_cst
  config.data = {'mnist': base.data_set('ylecun/mnist', shift=2)}
  strides = (2, 2, 2)
  config.teachers = {
    'low': {
      'labels': DIGITS[:5],
      'data': 'mnist',
      **base.conv((32, 64, 128), strides),
    },
    'high': {
      'labels': DIGITS[5:],
      'data': 'mnist',
      **base.conv((32, 64, 128), strides),
    },
  }
  config.student = base.conv((16, 24, 56), strides)
  config.pretrain.steps = 2400
  known = {'own': _own, 'plain': _plain, 'dafl': _dafl, 'paper': _paper}
  base.vary(config, variants, known)
  return config


def _own(config: ml_collections.ConfigDict) -> None:
  config.experiment = 'mnist_own'
  config.pretrain.teacher_data = 'own'


def _plain(config: ml_collections.ConfigDict) -> None:
  """Teachers without batch norm: there is nothing for the prior to match."""
  config.experiment = 'mnist_plain'
  for teacher in config.teachers.values():
    teacher.batch_norm = False


def _paper(config: ml_collections.ConfigDict) -> None:
  config.objective = objectives.paper()
  config.refine.steps = 0  # the paper has no such stage


def _dafl(config: ml_collections.ConfigDict) -> None:
  config.objective = objectives.dafl()
  config.dual.steps = 0  # it has no groups: the student learns end to end only
  config.refine.steps = 0
