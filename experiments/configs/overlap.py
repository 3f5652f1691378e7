"""Three unlike teachers of Fashion-MNIST whose labels overlap; 7 are wanted.

    python -m experiments.main --config=experiments/configs/overlap.py \\
        --workdir=runs/overlap [--config.data.fashion_mnist.path=DIR]

Coat and shirt have two teachers each. The teachers differ in kind, depth and
width. Dress, sneaker and bag are answered, but not wanted.

Seed 0 on the real test images: top-1 over those of the seven labels, teachers
together 0.910, compact TargetNet 0.862, branched 0.812; mAP over all images
0.942, 0.890 and 0.829 (docs/results.md has all figures). We had wanted the
student within 1.5 points of the teachers, and it is 4.8 below: most of what it
misses are shirts (an average precision of 0.63, where the teachers have 0.81).
Taught on the real training images for 1,800 steps, the same student has 0.891.
Refinement brought 3.8 points. The part that needs no data took 53 minutes on
one core of an AMD EPYC without a GPU while another training had the other core;
we allow it half an hour on two. Routing was off, by the rule (misfits of 1.15
to 1.18).

Nothing was tried on another seed first: the values were set by analogy with
`fashion_mnist` and before seed 0 ran. Seeds 1 and 2 have not been run.
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
  config.temperature = 1.0
  config.dual.lambda_generated = 1.0
  config.pretrain.steps = 4000
  config.generator.steps = 1200
  config.refine.steps = 1600
  config.refine.replays = 4
  for part in ('generator', 'dual', 'targetnet', 'refine'):
    config[part].batch = 126  # three equal shares, should images be routed
  return base.varied(config, variants, VARIANTS)


VARIANTS = {'dafl': objectives.use_dafl, 'paper': objectives.use_paper}
