"""Teachers from different worlds: one of MNIST, one of Fashion-MNIST.

    dualgan train --config=experiments/configs/strangers.py \\
        --workdir=runs/strangers [--config.data.mnist.path=DIR] \\
        [--config.data.fashion_mnist.path=DIR]

17 minutes without data (seed 0), on both cores of an AMD EPYC, no GPU.
Top-1, seeds 0, 1 and 2: teachers together 0.656 ± 0.014, compact TargetNet
0.897 ± 0.008, branched 0.888 ± 0.006.
Variants, and how the values were chosen: experiments/notes/strangers.md
"""

import functools

import ml_collections

from dualgan_jax.config import builders, objectives
from dualgan_jax.presets import fashion_mnist, mnist


def get_config(variants: str = '') -> ml_collections.ConfigDict:
  """Returns the config.

  Args:
    variants: separated by commas: images, off, dafl, paper.
  """
  config = builders.get_config()
  config.experiment = 'strangers'
  config.image_shape = (32, 32, 1)
  config.labels = mnist.DIGITS + fashion_mnist.ARTICLES  # Y_cst
  config.data = {
    'mnist': builders.data_set('ylecun/mnist', shift=2),
    'fashion_mnist': builders.data_set(
      'zalando-datasets/fashion_mnist', shift=2, flip=True
    ),
  }
  strides = (2, 2, 2)
  config.teachers = {
    'digits': builders.teacher(
      mnist.DIGITS, 'mnist', builders.conv((32, 64, 128), strides)
    ),
    'articles': builders.teacher(
      fashion_mnist.ARTICLES,
      'fashion_mnist',
      builders.conv((32, 64, 128), strides),
    ),
  }
  config.student = builders.conv((24, 48, 96), strides)
  config.pretrain.steps = 4000
  config.generator.steps = 2000
  config.refine.steps = 2400
  return builders.apply_variants(config, variants, VARIANTS)


def _images(config: ml_collections.ConfigDict) -> None:
  """Routes the generator only; all teachers answer for every image."""
  config.objective.routing = 'images'
  config.objective.name = 'images_routed'


def _off(config: ml_collections.ConfigDict) -> None:
  config.objective.routing = 'off'
  config.objective.name = 'not_routed'


VARIANTS = {
  'images': _images,
  'off': _off,
  'dafl': functools.partial(objectives.use_dafl, mean=(0.21,), std=(0.34,)),
  'paper': objectives.use_paper,
}
