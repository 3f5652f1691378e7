"""Teachers from different worlds: one of MNIST, one of Fashion-MNIST.

    python -m experiments.main --config=experiments/configs/strangers.py \\
        --workdir=runs/strangers [--config.data.mnist.path=DIR] \\
        [--config.data.fashion_mnist.path=DIR]

There are no kept results yet, and its values may change until there are.
"""

import ml_collections

from experiments.configs import base, fashion_mnist, mnist


def get_config(variants: str = '') -> ml_collections.ConfigDict:
  """The config; variants, separated by commas: images and off."""
  config = base.get_config()
  config.experiment = 'strangers'
  config.image = (32, 32, 1)
  config.labels = mnist.DIGITS + fashion_mnist.ARTICLES  # Y_cst
  config.data = {
    'mnist': base.data_set('ylecun/mnist', shift=2),
    'fashion_mnist': base.data_set(
      'zalando-datasets/fashion_mnist', shift=2, flip=True
    ),
  }
  strides = (2, 2, 2)
  config.teachers = {
    'digits': {
      'labels': mnist.DIGITS,
      'data': 'mnist',
      **base.conv((32, 64, 128), strides),
    },
    'articles': {
      'labels': fashion_mnist.ARTICLES,
      'data': 'fashion_mnist',
      **base.conv((32, 64, 128), strides),
    },
  }
  config.student = base.conv((24, 48, 96), strides)
  config.pretrain.steps = 4000
  config.generator.steps = 2000
  config.refine.steps = 2400
  return base.varied(config, variants, VARIANTS)


def _images(config: ml_collections.ConfigDict) -> None:
  """Routes the generator only; all teachers answer for every image."""
  config.objective.routing = 'images'
  config.objective.name = 'images_routed'


def _off(config: ml_collections.ConfigDict) -> None:
  config.objective.routing = 'off'
  config.objective.name = 'not_routed'


VARIANTS = {'images': _images, 'off': _off}
