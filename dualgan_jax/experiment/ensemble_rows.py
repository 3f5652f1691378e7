"""Measures other ensembles of teachers that all answer the same labels.

The row `teachers`, the mean of their probabilities, is what the student learns
from. These rows say what the same teachers are worth in other ways, as in
one-shot federated learning.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from dualgan_jax.config.fields import Experiment
from dualgan_jax.config.teacher_groups import (
  TorchExportTeacher,
  TrainedTeacher,
  WeightsTeacher,
)
from dualgan_jax.experiment import teacher_rows
from dualgan_jax.experiment.outcomes import Teachers
from dualgan_jax.experiment.scorer import Scorer
from dualgan_jax.method import ensembles
from dualgan_jax.method.labels import have_same_labels
from dualgan_jax.teachers import forward
from dualgan_jax.teachers.stack import is_one_net
from dualgan_jax.teachers.teacher import Teacher


def measure(
  scorer: Scorer,
  config: Experiment,
  teachers: Teachers,
  count_images: Callable[[str], int],
) -> dict[str, dict[str, Any]]:
  """Measures FedAvg, the mean of logits, and weights by entropy.

  Args:
    scorer: of the run's test images.
    config: the run's config.
    teachers: outcome of `pretrain`.
    count_images: counts the training images of a teacher that was trained here,
      by its name.

  Returns:
    Rows of the results: `fedavg` if the teachers were trained here or come from
    files of PyTorch, and are one net with different variables; `mean_logits`;
    and `entropy_weights` if each ends in a softmax. No rows without test
    images, or unless several teachers answer the same labels.
  """
  all_teachers = teachers.all_teachers
  label_sets = [teacher.labels for teacher in all_teachers]
  if (
    not config.data or len(all_teachers) < 2 or not have_same_labels(label_sets)
  ):
    return {}
  have_softmax = all(teacher.single_label for teacher in all_teachers)
  combinations = {
    'mean_logits': functools.partial(
      ensembles.average_logits, single_label=have_softmax
    )
  }
  if have_softmax:
    combinations['entropy_weights'] = ensembles.weigh_by_entropy

  rows = {}
  # A user's functions may hide weights, which no mean would reach.
  show_weights = all(
    isinstance(teacher, TrainedTeacher | WeightsTeacher | TorchExportTeacher)
    for teacher in config.teachers.values()
  )
  if show_weights and can_be_averaged(all_teachers, config.image_shape):
    net = all_teachers[0]
    rows['fedavg'] = scorer.measure(
      'fedavg',
      lambda variables, images: _answer(net, variables, images, config.labels),
      ensembles.average_variables(
        [teacher.variables for teacher in all_teachers],
        _list_weights(config, all_teachers, count_images),
      ),
      config.labels,
    )
  for name, combine in combinations.items():
    if config.teachers_per_step:
      rows[name] = _combine_rows(
        scorer, name, combine, all_teachers, config.labels
      )
      continue
    rows[name] = scorer.measure(
      name,
      functools.partial(_answer_together, all_teachers, combine, config.labels),
      [teacher.variables for teacher in all_teachers],
      config.labels,
    )
  return rows


def can_be_averaged(
  teachers: Sequence[Teacher], image_shape: tuple[int, int, int]
) -> bool:
  """Returns whether a mean of the teachers' variables is a net of their kind.

  Args:
    teachers: any.
    image_shape: (height, width, channels).
  """
  first = teachers[0]
  return (
    all(teacher.labels == first.labels for teacher in teachers)
    and all(
      jnp.issubdtype(leaf.dtype, jnp.floating)
      for leaf in jax.tree.leaves(first.variables)
    )
    and is_one_net(teachers, image_shape)
  )


def _list_weights(
  config: Experiment,
  teachers: Sequence[Teacher],
  count_images: Callable[[str], int],
) -> list[int]:
  """Lists each teacher's training images; 1 each if one's are not known."""
  if all(isinstance(x, TrainedTeacher) for x in config.teachers.values()):
    return [count_images(teacher.name) for teacher in teachers]
  return [1] * len(teachers)


def _answer(
  teacher: Teacher, variables: Any, images: chex.Array, labels: Sequence[str]
) -> chex.Array:
  """Computes a teacher's logits of some of its labels, [N, |labels|]."""
  logits = forward.tail(teacher, variables, images, 0)
  return logits[:, np.array([teacher.labels.index(x) for x in labels])]


def _answer_together(
  teachers: Sequence[Teacher],
  combine: Callable[[chex.Array], chex.Array],
  labels: Sequence[str],
  variables: Sequence[Any],
  images: chex.Array,
) -> chex.Array:
  """Computes an ensemble's logits of some labels, [N, |labels|]."""
  # A softmax is one of all labels, so the choice comes last.
  all_labels = teachers[0].labels
  logits = combine(
    jnp.stack(
      [
        _answer(teacher, teacher_variables, images, all_labels)
        for teacher, teacher_variables in zip(teachers, variables, strict=True)
      ]
    )
  )
  return logits[:, np.array([all_labels.index(x) for x in labels])]


def _combine_rows(
  scorer: Scorer,
  name: str,
  combine: Callable[[chex.Array], chex.Array],
  teachers: Sequence[Teacher],
  labels: Sequence[str],
) -> dict[str, Any]:
  """Measures an ensemble of teachers of one net that were measured already."""
  net = teachers[0]
  logits = np.asarray(
    combine(jnp.stack([scorer.logits[teacher.name] for teacher in teachers]))
  )
  costs = scorer.count_costs(
    functools.partial(forward.tail, net, after=0), net.variables
  )
  label_columns = [net.labels.index(label) for label in labels]
  return {
    **scorer.score_logits(name, logits[:, label_columns], labels),
    **teacher_rows.add_up_costs(costs, len(teachers)),
  }
