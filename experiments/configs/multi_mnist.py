"""Truly multi-label: two digits of MNIST in one image; teachers of 0-4 and 5-9.

    python -m experiments.main --config=experiments/configs/multi_mnist.py \\
        --workdir=runs/multi_mnist [--config.data.mnist.path=DIR]

Images are made as `dualgan_jax/overlay.py` says, 36×36, four for each of the
60,000 training images and one for each of the 10,000 test images; the labels of
an image are a set of two.

There are no kept results yet, and its values may change until there are. With
one image for each training image the teachers learned these by heart: seed 0
had a training loss of 0.006, and an mAP of 0.944 on test images; the compact
TargetNet had 0.856 then (--config.data.mnist.overlay=1
--config.refine.replays=1). That is why there are four.
"""

import ml_collections

from experiments.configs import base, objectives
from experiments.configs.mnist import DIGITS


def get_config(variants: str = '') -> ml_collections.ConfigDict:
  """The config; variants, separated by commas: dafl and paper."""
  config = base.get_config()
  config.experiment = 'multi_mnist'
  config.image = (36, 36, 1)
  config.labels = DIGITS  # Y_cst
  config.data = {'mnist': base.data_set('ylecun/mnist', overlay=4)}
  strides = (2, 2, 2)
  config.teachers = {
    name: base.teacher(
      labels, 'mnist', base.conv((32, 64, 128), strides, depths=(1, 2, 2))
    )
    for name, labels in (('low', DIGITS[:5]), ('high', DIGITS[5:]))
  }
  config.student = base.conv((24, 48, 96), strides)
  config.pretrain.steps = 6000
  config.generator.steps = 1500
  config.refine.steps = 1800
  config.refine.replays = 4
  return base.varied(config, variants, VARIANTS)


VARIANTS = {'dafl': objectives.use_dafl, 'paper': objectives.use_paper}
