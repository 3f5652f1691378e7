"""One teacher without batch norm, DAFL's own case: LeNet-5 to LeNet-5-Half.

    dualgan train --config=lenet --workdir=runs/lenet \\
        [--config.data.mnist.path=DIR] [--config.seed=N]

17 minutes without data, on one core of an AMD EPYC that was shared.
Top-1, seeds 0, 1 and 2: teachers together 0.992 ± 0.001,
compact TargetNet 0.970 ± 0.014.
Variants, and how the values were chosen: experiments/notes/lenet.md
"""

import ml_collections

from dualgan_jax.config import builders, objectives
from dualgan_jax.presets.mnist import DIGITS

# Of MNIST's training images, as DAFL's code prepares its images with them.
_MEAN, _STD = (0.1307,), (0.3081,)


def get_config(variants: str = '') -> ml_collections.ConfigDict:
  """Returns the config.

  Args:
    variants: dafl or dafl_whole, or nothing.
  """
  config = builders.get_config()
  config.experiment = 'lenet'
  config.image_shape = (32, 32, 1)
  config.labels = DIGITS  # Y_cst
  config.data = {'mnist': builders.data_set('ylecun/mnist', shift=2)}
  config.teachers = {
    'lenet5': builders.teacher(
      DIGITS,
      'mnist',
      _lenet((6, 16, 120), 84),
      single_label=True,
      mean=_MEAN,
      std=_STD,
    )
  }
  config.student = _lenet((3, 8, 60), 42)
  config.pretrain.steps = 3000
  # Images need more channels than the student has after its first block.
  config.generator.features = (16, 32)
  # The last groups take most of the time: narrow ones leave more steps.
  config.generator.widths = (64, 16, 8)
  # Without batch norm, images are far from real ones: the student learns most
  # where the generator seeks its errors.
  config.generator.steps = 300
  # With 1, images of all labels may become one in the first steps.
  config.objective.beta = 5.0
  config.dual.steps = 0
  config.targetnet.compact_steps = 200
  config.refine.steps = 1400
  config.refine.replay_steps = 8
  config.augmentation.shift = 2
  config.augmentation.mixup = 0.5
  return builders.apply_variants(config, variants, VARIANTS)


def _lenet(widths: tuple[int, ...], hidden_width: int) -> dict:
  """Describes a LeNet of three convolutions and two dense layers."""
  return builders.conv(
    widths,
    (2, 2, 1),
    kind='lenet',
    batch_norm=False,
    hidden_widths=(hidden_width,),
  )


def _dafl(config: ml_collections.ConfigDict) -> None:
  """Trains as DAFL does, with a generator that one core can train."""
  objectives.use_dafl(config, _MEAN, _STD)
  config.generator.latent_dim = 100
  # The student's are few, and nothing here asks for as many.
  config.generator.features = (32, 64)


def _dafl_whole(config: ml_collections.ConfigDict) -> None:
  """Takes the sizes and steps of DAFL's code, too."""
  _dafl(config)
  config.objective.name = 'dafl_whole'
  config.generator.widths = (128, 128, 64)
  config.generator.features = (128, 128)
  config.refine.steps = 24_000


VARIANTS = {'dafl': _dafl, 'dafl_whole': _dafl_whole}
