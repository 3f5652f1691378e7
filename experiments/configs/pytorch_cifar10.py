"""Two ResNet-34 of CIFAR-10 from weight files that PyTorch wrote.

    dualgan train --config=experiments/configs/pytorch_cifar10.py \\
        --workdir=runs/pytorch_cifar10 \\
        --config.teachers.animals.weights=animals.pth \\
        --config.teachers.vehicles.weights=vehicles.pth

It is sized for one GPU, and has no results: the project has no such files.
Copy it for teachers of yours: experiments/notes/pytorch_cifar10.md
"""

import ml_collections

from dualgan_jax.config import builders
from dualgan_jax.presets import cifar10


def get_config(variants: str = '') -> ml_collections.ConfigDict:
  """Returns the config.

  Args:
    variants: tested, or nothing.
  """
  config = cifar10.get_config()
  config.experiment = 'pytorch_cifar10'
  config.data = {}
  config.teachers = {
    name: {
      'labels': labels,
      **builders.weights(
        'cifar_resnet34',
        f'{name}.pth',
        single_label=True,  # they were trained with a softmax
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2023, 0.1994, 0.2010),
      ),
    }
    for name, labels in (
      ('animals', cifar10.ANIMALS),
      ('vehicles', cifar10.VEHICLES),
    )
  }
  return builders.apply_variants(config, variants, VARIANTS)


def _tested(config: ml_collections.ConfigDict) -> None:
  config.data = {'cifar10': builders.data_set('uoft-cs/cifar10')}


VARIANTS = {'tested': _tested}
