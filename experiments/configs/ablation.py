"""What each part of the method brings: MNIST, the same time for each arm.

    dualgan train --config=experiments/configs/ablation.py:ARM \\
        --workdir=runs/ablation/ARM-0 --init_from=runs/mnist/seed-0

5 to 7 minutes without data, on one core of an AMD EPYC, no GPU.
Top-1 without an arm's name, seeds 0, 1 and 2: teachers together 0.993 ± 0.001,
compact TargetNet 0.982 ± 0.003, branched 0.973 ± 0.006.
The arms, and a command for all of them: experiments/notes/ablation.md
"""

import ml_collections

from dualgan_jax.config import builders, objectives
from dualgan_jax.presets import mnist


def get_config(variants: str = '') -> ml_collections.ConfigDict:
  """Returns the config.

  Args:
    variants: an arm: no_refine, paper, paper_prior, paper_prior_labels,
      may_be_empty, fresh_filters, both_streams, end_to_end, temperature_1,
      still_replays; the default arm if empty.
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


def _paper_prior(config: ml_collections.ConfigDict) -> None:
  _paper(config)
  config.objective.name = 'paper_prior'
  config.objective.bn_prior_weight = 1.0


def _paper_prior_labels(config: ml_collections.ConfigDict) -> None:
  _paper_prior(config)
  config.objective.name = 'paper_prior_labels'
  config.objective.never_empty = True


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


def _still_replays(config: ml_collections.ConfigDict) -> None:
  config.objective.name = 'still_replays'
  config.augmentation.shift = 0
  config.augmentation.mixup = 0.0


VARIANTS = {
  'no_refine': _no_refine,
  'paper': _paper,
  'paper_prior': _paper_prior,
  'paper_prior_labels': _paper_prior_labels,
  'may_be_empty': _may_be_empty,
  'fresh_filters': _fresh_filters,
  'both_streams': _both_streams,
  'end_to_end': _end_to_end,
  'temperature_1': _temperature_1,
  'still_replays': _still_replays,
}
