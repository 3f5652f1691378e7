"""Two CIFAR-10 ResNets that a public repository trained, to one student.

    dualgan train --config=experiments/configs/public_cifar10.py \\
        --workdir=runs/public_cifar10 \\
        --config.teachers.resnet20.weights=resnet20-12fca82f.th \\
        --config.teachers.resnet56.weights=resnet56-4bfd9763.th \\
        [--config.data.cifar10.path=DIR]

The files are those of github.com/akamaster/pytorch_resnet_cifar10. There are no
results yet. How the values were chosen: experiments/notes/public_cifar10.md
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


def get_config() -> ml_collections.ConfigDict:
  """Returns the config."""
  config = builders.get_config()
  config.experiment = 'public_cifar10'
  config.save_every = 50
  config.image_shape = (32, 32, 3)
  config.labels = LABELS
  config.data = {'cifar10': builders.data_set('uoft-cs/cifar10')}
  config.teachers = {
    name: {
      'labels': LABELS,
      **builders.weights(
        f'cifar_{name}',
        f'{name}.th',
        single_label=True,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
      ),
    }
    for name in ('resnet20', 'resnet56')
  }
  config.student = builders.conv((24, 48, 96), (1, 2, 2), kind='residual')
  # Both teachers answer the same labels of the same images.
  config.objective.routing = 'off'
  # A step costs mostly the teachers: small batches, and no group losses.
  config.objective.groups = False
  for part in ('generator', 'refine'):
    config[part].batch = 32
  config.generator.latent_dim = 128
  config.generator.widths = (128, 48, 32)
  config.generator.steps = 800
  config.dual.steps = 0
  config.targetnet.batch = 64
  config.targetnet.compact_steps = 300
  config.targetnet.branched_steps = 1
  config.refine.steps = 150
  config.refine.replay_steps = 2
  config.refine.replay_buffer_batches = 600
  config.refine.shift = 2
  config.refine.flip = True
  config.refine.mixup = 0.5
  config.baselines.steps = 0
  return config
