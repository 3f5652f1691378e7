"""A CIFAR-10 ResNet-20 that a public repository trained, to a small student.

    dualgan train --config=experiments/configs/public_cifar10.py \\
        --workdir=runs/public_cifar10 \\
        --config.teachers.resnet20.weights=resnet20-12fca82f.th \\
        [--config.data.cifar10.path=DIR]

The file is one of github.com/akamaster/pytorch_resnet_cifar10.
88 minutes without data, on one core of an AMD EPYC with other work on it.
Top-1, seed 0: teachers together 0.917, compact TargetNet 0.522.
Variants, and how the values were chosen: experiments/notes/public_cifar10.md
"""

import ml_collections

from dualgan_jax.config import builders

LABELS = (
  'airplane',
  'automobile',
  'bird',
  'cat',
  'deer',
  'dog',
  'frog',
  'horse',
  'ship',
  'truck',
)


def get_config(variants: str = '') -> ml_collections.ConfigDict:
  """Returns the config.

  Args:
    variants: separated by commas: own_shape, both.
  """
  config = builders.get_config()
  config.experiment = 'public_cifar10'
  config.save_every = 100
  config.image_shape = (32, 32, 3)
  config.labels = LABELS
  config.data = {'cifar10': builders.data_set('uoft-cs/cifar10')}
  config.teachers = {'resnet20': _resnet('resnet20')}
  # One residual unit per block where the teacher has three.
  config.student = _residual((16, 32, 64), (1, 1, 1))
  # Both teachers of `both` answer the same labels of the same images.
  config.objective.routing = 'off'
  # A step costs mostly the teachers: small batches, and no group losses.
  config.objective.groups = False
  for part in ('generator', 'targetnet', 'refine'):
    config[part].batch = 64
  config.generator.latent_dim = 128
  config.generator.widths = (64, 32, 32)
  config.generator.steps = 1200
  config.dual.steps = 0
  config.targetnet.compact_steps = 600
  config.targetnet.branched_steps = 1
  config.refine.steps = 2000
  config.refine.replay_steps = 4
  config.refine.replay_buffer_batches = 600
  config.augmentation.shift = 2
  config.augmentation.flip = True
  config.augmentation.mixup = 0.5
  return builders.apply_variants(config, variants, VARIANTS)


# SHA-256 of the files, from which the repository names them.
_DIGESTS = {
  'resnet20': (
    '12fca82f0bebc4135bf1f32f6e3710e61d5108578464b84fd6d7f5c1b04036c8'
  ),
  'resnet56': (
    '4bfd97631478d6b638d2764fd2baff3edb1d7d82252d54439343b6596b9b5367'
  ),
}


def _resnet(name: str) -> dict:
  """Describes a teacher of the repository; its file gets the same name."""
  return {
    'labels': LABELS,
    **builders.weights(
      f'cifar_{name}',
      f'{name}.th',
      single_label=True,
      sha256=_DIGESTS[name],
      mean=(0.485, 0.456, 0.406),
      std=(0.229, 0.224, 0.225),
    ),
  }


def _residual(widths: tuple[int, ...], depths: tuple[int, ...]) -> dict:
  return builders.conv(widths, (1, 2, 2), kind='residual', depths=depths)


def _own_shape(config: ml_collections.ConfigDict) -> None:
  """Gives the student as many units, of the same widths, as the teacher."""
  config.experiment = 'public_cifar10_own_shape'
  config.student = _residual((16, 32, 64), (3, 3, 3))


def _both(config: ml_collections.ConfigDict) -> None:
  """Adds ResNet-56, which answers the same labels."""
  config.experiment = 'public_cifar10_both'
  config.teachers = {name: _resnet(name) for name in ('resnet20', 'resnet56')}
  # An image costs both teachers four times what it costs one.
  config.generator.steps = 800
  config.refine.steps = 1000


VARIANTS = {'own_shape': _own_shape, 'both': _both}
