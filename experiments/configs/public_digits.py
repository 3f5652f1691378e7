"""A digit recogniser of a Python package on PyPI, to a student.

    dualgan train --config=experiments/configs/public_digits.py \\
        --workdir=runs/public_digits \\
        --config.teachers.recogniser.weights=FILE \\
        [--config.data.mnist.path=DIR]

FILE is models/handwriting_model.pth of digit-recognizer-py 0.1.0.
45 minutes on one core of an AMD EPYC, of which other work had the most. Top-1,
seed 0: teachers together 0.991, compact TargetNet 0.952, branched 0.989.
How the values were chosen: experiments/notes/public_digits.md
"""

import ml_collections

from dualgan_jax.config import builders

DIGITS = tuple('0123456789')


def get_config() -> ml_collections.ConfigDict:
  """Returns the config."""
  config = builders.get_config()
  config.experiment = 'public_digits'
  config.image_shape = (28, 28, 1)
  config.labels = DIGITS
  config.data = {'mnist': builders.data_set('ylecun/mnist')}
  config.teachers = {
    'recogniser': {
      'labels': DIGITS,
      **builders.weights(
        'cnn3',
        'handwriting_model.pth',
        single_label=True,
        sha256='325e0773529babe8ebb6adf35a82c64e57c5f3518c2adb975865355c74bc4786',
        mean=(0.1307,),
        std=(0.3081,),
      ),
    }
  }
  config.student = builders.conv((16, 24, 56), (2, 2, 2))
  config.augmentation.shift = 2
  config.augmentation.mixup = 0.5
  return config
