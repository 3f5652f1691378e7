"""Three unlike teachers of Fashion-MNIST whose labels overlap; 7 are wanted.

    python -m experiments.main --config=experiments/configs/overlap.py \\
        --workdir=runs/overlap [--config.data.fashion_mnist.path=DIR]

Coat and shirt have two teachers each. The teachers differ in kind, depth and
width. Dress, sneaker and bag are answered, but not wanted.

There are no kept results yet, and its values may change until there are.
"""

import ml_collections

from experiments.configs import base, objectives
from experiments.configs.fashion_mnist import ARTICLES


def get_config(variants: str = '') -> ml_collections.ConfigDict:
  """The config; variants, separated by commas: dafl and paper."""
  config = base.get_config()
  config.experiment = 'overlap'
  config.image = (32, 32, 1)
  unwanted = ('Dress', 'Sneaker', 'Bag')
  config.labels = tuple(x for x in ARTICLES if x not in unwanted)  # Y_cst
  config.data = {
    'fashion_mnist': base.data_set(
      'zalando-datasets/fashion_mnist', shift=2, flip=True
    )
  }
  strides = (2, 2, 2)
  tops = ('T - shirt / top', 'Pullover', 'Dress', 'Coat')
  config.teachers = {
    'tops': base.teacher(
      (*tops, 'Shirt'), 'fashion_mnist', base.conv((32, 64, 128), strides)
    ),
    'outdoors': base.teacher(
      ('Coat', 'Trouser', 'Ankle boot', 'Bag'),
      'fashion_mnist',
      base.conv((24, 48, 96), strides, depths=(1, 2, 2)),
    ),
    'summer': base.teacher(
      ('Sandal', 'Sneaker', 'Shirt'),
      'fashion_mnist',
      base.conv((24, 40, 80), strides, kind='residual'),
    ),
  }
  config.student = base.conv((24, 48, 96), strides)
  config.pretrain.steps = 4000
  config.generator.steps = 1200
  config.refine.steps = 1600
  config.refine.replays = 4
  for part in ('generator', 'dual', 'targetnet', 'refine'):
    config[part].batch = 126  # three equal shares, should images be routed
  return base.varied(config, variants, VARIANTS)


VARIANTS = {'dafl': objectives.use_dafl, 'paper': objectives.use_paper}
