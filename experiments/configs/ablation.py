"""What each part of the method brings: MNIST, the same time for each arm.

    dualgan train --config=experiments/configs/ablation.py:ARM \\
        --workdir=runs/ablation/ARM-0 --init_from=runs/mnist/seed-0

5 to 8 minutes without data, on one core of an Intel Xeon, no GPU.
Top-1 without an arm's name, seeds 0, 1 and 2: teachers together 0.993 ± 0.000,
compact TargetNet 0.982 ± 0.000, branched 0.988 ± 0.001.
The arms, and a command for all of them: experiments/notes/ablation.md
"""

import ml_collections

from dualgan_jax.config import builders, objectives
from dualgan_jax.presets import mnist


def get_config(variants: str = '') -> ml_collections.ConfigDict:
  """Returns the config.

  Args:
    variants: an arm, one of `VARIANTS`; the default arm if empty.
  """
  config = mnist.get_config()
  config.experiment = 'ablation'
  config.objective.routing = 'off'
  config.generator.steps = 400
  config.dual.steps = 80
  config.targetnet.compact_steps = 400
  config.targetnet.branched_steps = 200
  config.refine.steps = 300
  return builders.apply_variants(config, variants, VARIANTS)


def _no_refine(config: ml_collections.ConfigDict) -> None:
  """Gives the time of refinement to generator and student in equal parts."""
  config.objective.name = 'no_refine'
  config.refine.steps = 0
  config.generator.steps += 150
  config.targetnet.compact_steps += 650


def _paper(config: ml_collections.ConfigDict) -> None:
  _no_refine(config)
  config.objective = objectives.paper(len(mnist.DIGITS))


def _blocks_only(config: ml_collections.ConfigDict) -> None:
  """Gives the time of the compact student's end-to-end steps to its blocks."""
  _no_refine(config)
  config.objective.name = 'blocks_only'
  config.targetnet.compact_steps = 0
  config.dual.steps += 220


def _activation_loss(config: ml_collections.ConfigDict) -> None:
  config.objective.name = 'activation_loss'
  config.objective.alpha = 0.1  # the weight that `paper` has


def _image_filter(config: ml_collections.ConfigDict) -> None:
  config.objective.name = 'image_filter'
  config.objective.image_filter = True


def _no_prior(config: ml_collections.ConfigDict) -> None:
  config.objective.name = 'no_prior'
  config.objective.bn_prior_weight = 0.0


def _prior_10(config: ml_collections.ConfigDict) -> None:
  config.objective.name = 'prior_10'
  config.objective.bn_prior_weight = 10.0


def _may_be_empty(config: ml_collections.ConfigDict) -> None:
  config.objective.name = 'may_be_empty'
  config.objective.never_empty = False


def _fresh_filters(config: ml_collections.ConfigDict) -> None:
  config.objective.name = 'fresh_filters'
  config.dual.filter_start = 'fresh'


def _both_streams(config: ml_collections.ConfigDict) -> None:
  config.objective.name = 'both_streams'
  config.dual.lambda_generated = 1.0


def _end_to_end(config: ml_collections.ConfigDict) -> None:
  config.objective.name = 'end_to_end'
  config.dual.steps = 0
  config.targetnet.compact_steps += 450


def _temperature_1(config: ml_collections.ConfigDict) -> None:
  config.objective.name = 'temperature_1'
  config.temperature = 1.0


def _still_images(config: ml_collections.ConfigDict) -> None:
  config.objective.name = 'still_images'
  config.augmentation.shift = 0
  config.augmentation.mixup = 0.0


VARIANTS = {
  'no_refine': _no_refine,
  'blocks_only': _blocks_only,
  'end_to_end': _end_to_end,
  'paper': _paper,
  'activation_loss': _activation_loss,
  'image_filter': _image_filter,
  'may_be_empty': _may_be_empty,
  'no_prior': _no_prior,
  'prior_10': _prior_10,
  'fresh_filters': _fresh_filters,
  'both_streams': _both_streams,
  'temperature_1': _temperature_1,
  'still_images': _still_images,
}
