"""Two teachers of scikit-learn's handwritten digits, 0-4 and 5-9.

    dualgan train --config=digits --workdir=runs/digits [--config.seed=N]

Nine minutes without data, on one shared core of an AMD EPYC, no GPU.
Top-1, seeds 0, 1 and 2: teachers together 0.991 ± 0.003, compact TargetNet
0.990 ± 0.006, branched 0.989 ± 0.007.
Variants, and how the values were chosen: experiments/notes/digits.md
"""

import functools

import ml_collections

from dualgan_jax.config import builders, objectives

DIGITS = tuple('0123456789')


def get_config(variants: str = '') -> ml_collections.ConfigDict:
  """Returns the config.

  Args:
    variants: separated by commas: smoke, single, mixed, one_digit,
      one_digit_draw_2, one_digit_draw_5, dafl, paper.
  """
  config = builders.get_config()
  config.experiment = 'digits'
  config.image_shape = (16, 16, 1)
  config.labels = DIGITS  # Y_cst
  config.data = {
    'digits': builders.data_set('scikit-learn/digits', test_fraction=0.3)
  }
  strides = (2, 2, 1)
  config.teachers = {
    'low': builders.teacher(
      DIGITS[:5], 'digits', builders.conv((24, 48, 96), strides)
    ),
    'high': builders.teacher(
      DIGITS[5:], 'digits', builders.conv((24, 48, 96), strides)
    ),
  }
  config.student = builders.conv((16, 32, 64), strides)
  config.augmentation.shift = 1
  config.augmentation.mixup = 0.5
  return builders.apply_variants(config, variants, VARIANTS)


def _smoke(config: ml_collections.ConfigDict) -> None:
  """Makes the run last a minute or two on two cores, to see that it runs."""
  for teacher in config.teachers.values():
    teacher.widths = (8, 8, 16)
  config.student.widths = (8, 8, 16)
  config.generator.widths = (16, 8, 8)
  for part in ('pretrain', 'generator', 'dual', 'refine', 'baselines'):
    config[part].steps = 20
  config.refine.branched_steps = 20
  config.baselines.enabled = True
  config.targetnet.compact_steps = config.targetnet.branched_steps = 20
  config.generator.probe_steps = 20
  config.log_every = 5


def _single(config: ml_collections.ConfigDict) -> None:
  config.experiment = 'digits_single'
  for teacher in config.teachers.values():
    teacher.single_label = True


def _mixed(config: ml_collections.ConfigDict) -> None:
  config.experiment = 'digits_mixed'
  config.teachers.low.single_label = True


def _one_digit(config: ml_collections.ConfigDict, num_drawn: int = 0) -> None:
  """Takes ten teachers of one digit; a step asks all, or draws a few."""
  config.experiment = 'digits_one_digit'
  net = next(iter(config.teachers.values())).to_dict()
  config.teachers = {
    f'digit_{digit}': {**net, 'labels': (digit,)} for digit in DIGITS
  }
  config.teachers_per_step = num_drawn
  if num_drawn:
    config.objective.name = f'draw_{num_drawn}'
  # Routing would cut each batch into ten parts, and 128 cannot be. Drawn
  # teachers are not routed, either.
  config.objective.routing = 'off'
  # Blocks would learn from all teachers.
  config.dual.steps = 0


VARIANTS = {
  'smoke': _smoke,
  'single': _single,
  'mixed': _mixed,
  'one_digit': _one_digit,
  'one_digit_draw_2': functools.partial(_one_digit, num_drawn=2),
  'one_digit_draw_5': functools.partial(_one_digit, num_drawn=5),
  'dafl': functools.partial(objectives.use_dafl, mean=(0.31,), std=(0.35,)),
  'paper': objectives.use_paper,
}
