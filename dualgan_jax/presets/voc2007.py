"""Two teachers of PASCAL VOC 2007, ten of its twenty labels each.

    dualgan train --config=voc2007 --workdir=runs/voc2007 \\
        --config.data.voc2007.path=VOCdevkit

It is sized for one GPU, and has no results: the project has had no VOC images.
Variants, and where the labels' split is from: experiments/notes/voc2007.md
"""

import functools

import ml_collections

from dualgan_jax.config import builders, objectives

FIRST = (
  'aeroplane',
  'bicycle',
  'bird',
  'boat',
  'bus',
  'car',
  'horse',
  'motorbike',
  'person',
  'train',
)
SECOND = (
  'bottle',
  'cat',
  'chair',
  'cow',
  'diningtable',
  'dog',
  'pottedplant',
  'sheep',
  'sofa',
  'tvmonitor',
)


def get_config(variants: str = '') -> ml_collections.ConfigDict:
  """Returns the config.

  Args:
    variants: dafl or paper, or nothing.
  """
  config = builders.get_config()
  config.experiment = 'voc2007'
  config.image_shape = (64, 64, 3)
  config.labels = FIRST + SECOND  # Y_cst
  config.data = {
    'voc2007': builders.data_set('PASCAL/VOC2007', shift=6, flip=True)
  }
  strides = (2, 2, 2, 2)
  net = builders.conv(
    (64, 128, 256, 512), strides, kind='residual', depths=(2, 2, 2, 2)
  )
  config.teachers = {
    'first': builders.teacher(FIRST, 'voc2007', net),
    'second': builders.teacher(SECOND, 'voc2007', net),
  }
  config.student = builders.conv(
    (48, 96, 192, 384), strides, kind='residual', depths=(1, 1, 1, 1)
  )
  config.pretrain.steps = 8000
  config.pretrain.learning_rate = 1e-3
  config.generator.latent_dim = 256
  config.generator.widths = (256, 128, 64, 32)
  config.generator.steps = 4000
  config.refine.steps = 4000
  config.refine.replay_steps = 4
  config.refine.replay_buffer_batches = 100
  return builders.apply_variants(config, variants, VARIANTS)


VARIANTS = {
  'dafl': functools.partial(
    objectives.use_dafl, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
  ),
  'paper': objectives.use_paper,
}
