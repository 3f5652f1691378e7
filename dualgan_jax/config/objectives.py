"""Defines the named objectives of the generator: losses and their weights.

Where the weights come from: experiments/notes/objectives.md
"""

import math

import ml_collections

from dualgan_jax.config.augmentation_group import Augmentation
from dualgan_jax.config.objective_group import Objective


def default() -> ml_collections.ConfigDict:
  """Returns ours: Eq. 8 without L_a, Eq. 11, the prior, never-empty labels."""
  return ml_collections.ConfigDict(Objective().model_dump())


def paper(num_labels: int) -> ml_collections.ConfigDict:
  """Returns Eq. 8 and 11 as printed: no prior, and Eq. 5 may find no label.

  The paper does not publish its weights. α and β are those of DAFL's code. With
  the entropy of each label, γ·L_dis + β·L_ie is least where each label is on
  with probability σ(-γ/β): γ = β·ln(L - 1) asks for one label per image.

  Args:
    num_labels: L, labels of all teachers, two or more.
  """
  beta = 5.0
  # All fields are written out, so that other defaults change no baseline.
  return ml_collections.ConfigDict(
    {
      'name': 'paper',
      'oracle': False,
      'alpha': 0.1,
      'beta': beta,
      'gamma': beta * math.log(num_labels - 1),
      'entropy': 'bernoulli',
      'bn_prior_weight': 0.0,
      'one_hot': 'labels',
      'never_empty': False,
      'groups': True,
      # The student would not see what the teachers see behind it.
      'image_filter': False,
      'routing': 'off',
    }
  )


def dafl() -> ml_collections.ConfigDict:
  """Returns DAFL's (Chen et al., ICCV 2019), as its code has it for MNIST.

  One-hot loss + 0.1 · activation loss + 5 · information entropy with log10. It
  has no groups and no prior. The teachers judge the image by one softmax over
  all labels; a teacher with one label per image judges by its own softmax.
  """
  # As in `paper`, no field is left to its default.
  return ml_collections.ConfigDict(
    {
      'name': 'dafl',
      'oracle': False,
      'alpha': 0.1,
      'beta': 5.0,
      'gamma': 0.0,
      'entropy': 'dafl',
      'bn_prior_weight': 0.0,
      'one_hot': 'class',
      'never_empty': False,
      'groups': False,
      'image_filter': False,
      'routing': 'off',
    }
  )


def use_paper(config: ml_collections.ConfigDict) -> None:
  """Gives a config the paper's objective, and trains as the paper does.

  Args:
    config: the config, which is changed in place.
  """
  union = {
    label for teacher in config.teachers.values() for label in teacher.labels
  }
  config.objective = paper(len(union))
  # As all configs had at first.
  config.dual.lambda_generated = 1.0
  config.temperature = 1.0
  config.refine.steps = 0
  config.augmentation = Augmentation().model_dump()


def use_dafl(
  config: ml_collections.ConfigDict,
  mean: tuple[float, ...],
  std: tuple[float, ...],
) -> None:
  """Gives a config DAFL's objective, and trains as DAFL's code does.

  Generator and student start together, and learn from each batch once, in stage
  `refine`. The generator sees as many images as with the config's objective.

  Args:
    config: the config, which is changed in place.
    mean: of the data that the teachers learned from, images in [0, 1], per
      channel or one for all; the generator's last batch norm gives it.
    std: standard deviation of these data, likewise.
  """
  config.objective = dafl()
  num_images = sum(
    group.steps * group.batch for group in (config.generator, config.refine)
  )
  config.generator.image_mean, config.generator.image_std = mean, std
  # Only stage `refine` trains.
  config.generator.steps = 0
  config.dual.steps = 0
  config.targetnet.compact_steps = 0
  config.refine.batch = 512
  config.refine.steps = max(num_images // config.refine.batch, 1)
  config.refine.learning_rate = 2e-3
  config.refine.generator_learning_rate = 0.2
  # No reward and no replay: a buffer of one batch is the smallest.
  config.refine.adversarial_weight = 0.0
  config.refine.replay_steps = 0
  config.refine.replay_buffer_batches = 1
  config.augmentation = Augmentation().model_dump()
  config.temperature = 1.0
  config.distillation = 'class'
