"""Two teachers of PASCAL VOC 2007, ten of its twenty labels each.

    python -m experiments.main --config=experiments/configs/voc2007.py \\
        --workdir=runs/voc2007 --config.data.voc2007.path=VOCdevkit

Who answers what is the split of the authors' earlier paper (Ye et al.,
Amalgamating Filtered Knowledge, IJCAI 2019). VOC's trainval trains the
teachers, its test part evaluates; objects marked as difficult count as VOC
counts them, and `mAP_11` in `results.json` is its 11-point average precision.

It is sized for one GPU. There are no results: the project has had no VOC
images. Teachers trained on those 5,011 images alone will be weak; bring
pretrained ones, as `experiments/configs/pytorch_cifar10.py` does.
"""

import ml_collections

from experiments.configs import base, objectives

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
  """The config; variants, separated by commas: dafl and paper."""
  config = base.get_config()
  config.experiment = 'voc2007'
  config.image = (64, 64, 3)
  config.labels = FIRST + SECOND  # Y_cst
  config.data = {'voc2007': base.data_set('PASCAL/VOC2007', shift=6, flip=True)}
  strides = (2, 2, 2, 2)
  net = base.conv(
    (64, 128, 256, 512), strides, kind='residual', depths=(2, 2, 2, 2)
  )
  config.teachers = {
    'first': base.teacher(FIRST, 'voc2007', net),
    'second': base.teacher(SECOND, 'voc2007', net),
  }
  config.student = base.conv(
    (48, 96, 192, 384), strides, kind='residual', depths=(1, 1, 1, 1)
  )
  config.pretrain.steps = 8000
  config.pretrain.learning_rate = 1e-3
  config.generator.noise = 256
  config.generator.widths = (256, 128, 64, 32)
  config.generator.steps = 4000
  config.refine.steps = 4000
  config.refine.replays = 4
  config.refine.pool_batches = 100
  config.baselines.steps = 4000
  return base.varied(config, variants, VARIANTS)


VARIANTS = {'dafl': objectives.use_dafl, 'paper': objectives.use_paper}
