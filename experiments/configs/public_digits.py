"""A digit recogniser of a Python package on PyPI, to a student.

    dualgan train --config=experiments/configs/public_digits.py \\
        --workdir=runs/public_digits \\
        --config.teachers.recogniser.weights=FILE \\
        [--config.data.mnist.path=DIR]

FILE is models/handwriting_model.pth of digit-recognizer-py 0.1.0. There are no
results yet. How the values were chosen: experiments/notes/public_digits.md
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
        mean=(0.1307,),
        std=(0.3081,),
      ),
    }
  }
  config.student = builders.conv((16, 24, 56), (2, 2, 2))
  config.augmentation.shift = 2
  config.augmentation.mixup = 0.5
  return config
