"""CIFAR-10: teachers of animals and vehicles, a ResNet-34 each; a ResNet-18.

    dualgan train --config=cifar10 --workdir=runs/cifar10 \\
        [--config.data.cifar10.path=DIR] [--config.precision=float32]

It is sized for one GPU, and has no results yet. `cifar10:laptop` takes 52
minutes without data, on two cores of an AMD EPYC. Top-1, seed 0: teachers
together 0.843, compact TargetNet 0.710, branched 0.342.
Variants, and how the values were chosen: experiments/notes/cifar10.md
"""

import ml_collections

from dualgan_jax.config import builders, objectives

ANIMALS = ('bird', 'cat', 'deer', 'dog', 'frog', 'horse')
VEHICLES = ('airplane', 'automobile', 'ship', 'truck')
_OTHER_PARTS = ('generator', 'dual', 'targetnet', 'refine', 'baselines')
_AUGMENTATION = {'shift': 2, 'flip': True, 'mixup': 0.5}


def get_config(variants: str = '') -> ml_collections.ConfigDict:
  """Returns the config.

  Args:
    variants: separated by commas: laptop, dafl, paper.
  """
  config = builders.get_config()
  config.experiment = 'cifar10'
  config.image_shape = (32, 32, 3)
  config.labels = tuple(sorted(ANIMALS + VEHICLES))  # Y_cst
  config.data = {
    'cifar10': builders.data_set('uoft-cs/cifar10', shift=4, flip=True)
  }
  config.precision = 'bfloat16'
  config.teachers = {
    name: builders.teacher(labels, 'cifar10', _resnet((3, 4, 6, 3)))
    for name, labels in (('animals', ANIMALS), ('vehicles', VEHICLES))
  }
  config.student = _resnet((2, 2, 2, 2))
  for part in ('pretrain', *_OTHER_PARTS):
    config[part].batch = 256
    config[part].learning_rate = 1e-3
  config.pretrain.steps = 20_000
  config.generator.latent_dim = 256
  config.generator.widths = (256, 128, 64, 64)
  config.generator.steps = 4000
  config.dual.steps = 500
  config.targetnet.compact_steps = 4000
  config.targetnet.branched_steps = 1000
  config.refine.steps = 16_000
  config.augmentation.update(_AUGMENTATION)
  return builders.apply_variants(config, variants, VARIANTS)


def _resnet(depths: tuple[int, ...]) -> dict:
  """Describes a ResNet for 32×32 images; (3, 4, 6, 3) units: ResNet-34."""
  return builders.conv(
    (64, 128, 256, 512), (1, 2, 2, 2), kind='residual', depths=depths
  )


def _laptop(config: ml_collections.ConfigDict) -> None:
  """Teachers of 300,000 parameters each, a student of 170,000, in float32.

  All blocks stride: at 32×32 the generator would take most of the time.
  """
  usual = builders.get_config()
  config.experiment = 'cifar10_laptop'
  config.precision = usual.precision
  for part in _OTHER_PARTS:
    config[part] = usual[part]
  config.pretrain = usual.pretrain
  strides = (2, 2, 2)
  for teacher in config.teachers.values():
    teacher.update(builders.conv((32, 64, 128), strides, kind='residual'))
  config.student = builders.conv((24, 48, 96), strides, kind='residual')
  config.pretrain.steps = 8000
  config.generator.steps = 1500
  config.generator.latent_dim = 128
  config.refine.steps = 3000
  config.refine.replay_steps = 4
  config.augmentation.update(_AUGMENTATION)


def _dafl(config: ml_collections.ConfigDict) -> None:
  """Takes what DAFL's code has for CIFAR-10, but for its student's SGD."""
  objectives.use_dafl(
    config, mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010)
  )
  # 0.05 L_oh + 0.01 L_a + 5 L_ie: Adam ignores a common factor.
  config.objective.alpha = 0.2
  config.objective.beta = 100.0
  config.refine.generator_learning_rate = 0.02


VARIANTS = {
  'laptop': _laptop,
  'dafl': _dafl,
  'paper': objectives.use_paper,
}
