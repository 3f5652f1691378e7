"""Measures the teachers: each by itself, and the ensemble that teaches."""

import functools
from collections.abc import Mapping
from typing import Any

from dualgan_jax.config.fields import Experiment
from dualgan_jax.experiment.outcomes import Teachers
from dualgan_jax.experiment.scorer import Scorer
from dualgan_jax.method import discriminators
from dualgan_jax.method.teacher_draws import answer_all
from dualgan_jax.teachers import forward
from dualgan_jax.teachers.stack import stack_teachers


def measure(
  scorer: Scorer, config: Experiment, teachers: Teachers
) -> dict[str, dict[str, Any]]:
  """Measures the ensemble of the relevant teachers, and each teacher.

  Args:
    scorer: of the run's test images.
    config: the run's config.
    teachers: outcome of `pretrain`.

  Returns:
    Rows of the results by name, that of the ensemble first.
  """
  # Such a list of programs would take minutes to compile.
  if config.teachers_per_step:
    return _measure_stack(scorer, teachers)
  labels = teachers.relevant_labels.customised

  def answer_as_ensemble(variables, images):
    logits = [
      forward.tail(teacher, teacher_variables, images, 0)
      for teacher, teacher_variables in zip(
        teachers.relevant_teachers, variables, strict=True
      )
    ]
    label_columns = teachers.relevant_labels.owners(labels)
    return discriminators.combine_logits(logits, label_columns)

  variables = [teacher.variables for teacher in teachers.relevant_teachers]
  rows = {
    'teachers': scorer.measure(
      'teachers', answer_as_ensemble, variables, labels
    )
  }
  for teacher in teachers.all_teachers:
    rows[teacher.name] = scorer.measure(
      teacher.name,
      functools.partial(forward.tail, teacher, after=0),
      teacher.variables,
      teacher.labels,
    )
  return rows


def add_up_costs(costs: Mapping[str, int], num_teachers: int) -> dict[str, int]:
  """Adds up the costs of teachers of one net, of which all answer.

  Args:
    costs: of one of them.
    num_teachers: their number.
  """
  return {name: num_teachers * cost for name, cost in costs.items()}


def _measure_stack(
  scorer: Scorer, teachers: Teachers
) -> dict[str, dict[str, Any]]:
  """Measures teachers of one net in one pass over the test images."""
  all_teachers, label_map = teachers.all_teachers, teachers.relevant_labels
  net = all_teachers[0]
  logits = scorer.compute_logits(
    lambda stack, images: answer_all(stack, {}, images),
    stack_teachers(all_teachers),
  )
  costs = scorer.count_costs(
    functools.partial(forward.tail, net, after=0), net.variables
  )
  labels = label_map.customised
  ensemble_logits = None
  if logits is not None:
    ensemble_logits = discriminators.combine_logits(
      [logits], label_map.owners(labels)
    )
  rows = {
    'teachers': {
      **scorer.score_logits('teachers', ensemble_logits, labels),
      **add_up_costs(costs, len(all_teachers)),
    }
  }
  # Each teacher has as many columns as any other.
  num_labels = len(net.labels)
  for number, teacher in enumerate(all_teachers):
    columns = slice(number * num_labels, (number + 1) * num_labels)
    teacher_logits = None if logits is None else logits[:, columns]
    rows[teacher.name] = {
      **scorer.score_logits(teacher.name, teacher_logits, teacher.labels),
      **costs,
    }
  return rows
