"""Answers that L_oh and L_ie of the generator's loss judge, and their forms."""

from collections.abc import Sequence
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from dualgan_jax import losses
from dualgan_jax.method import discriminators, routing
from dualgan_jax.method.labels import LabelMap
from dualgan_jax.teachers.forward import Ladder
from dualgan_jax.teachers.teacher import Teacher


class JudgedAnswers(NamedTuple):
  """Answers that make one term of L_oh and one term of L_ie.

  Attributes:
    logits: some rows of the batch and some labels of the union, [n, l].
    entropy: form of L_ie, one of `losses.ENTROPY_FORMS`.
    single_label: whether the labels exclude one another; σ(logits) are softmax
      probabilities then.
  """

  logits: chex.Array
  entropy: str
  single_label: bool


def of_teachers(
  logits: chex.Array,
  ladders: Sequence[Ladder],
  teachers: Sequence[Teacher],
  label_map: LabelMap,
  *,
  entropy: str,
  routed: bool,
) -> list[JudgedAnswers]:
  """Lists the answers of all teachers, those that are judged together as one.

  Teachers of independent labels are judged together (Eq. 6), those of one label
  per image each by itself, as DAFL does.

  Args:
    logits: the teachers' answers to I_g put together, [N, |U|].
    ladders: per teacher, its answers to I_g.
    teachers: M of them.
    label_map: the teachers in the same order.
    entropy: form of L_ie, one of `losses.ENTROPY_FORMS`; where only one form
      fits the answers, that one counts.
    routed: whether each row belongs to one teacher.
  """
  independent_logits = _independent_logits(
    logits, teachers, label_map, routed=routed
  )
  single_label_logits = [
    x.image for t, x in zip(teachers, ladders, strict=True) if t.single_label
  ]
  single_label_entropy = 'dafl' if entropy == 'dafl' else 'softmax'
  return [
    JudgedAnswers(x, entropy if x.shape[1] > 1 else 'bernoulli', False)
    for x in independent_logits
  ] + [
    JudgedAnswers(x, single_label_entropy, True) for x in single_label_logits
  ]


def label_mean(answers: JudgedAnswers) -> chex.Array:
  """Averages probabilities over rows, [l]: what `information_entropy` takes."""
  if answers.single_label:  # their sigmoids are a softmax's already
    return losses.label_mean(answers.logits)
  return losses.label_mean(answers.logits, answers.entropy)


def one_hot(
  answers: JudgedAnswers, form: str, *, never_empty: bool
) -> chex.Array:
  """Computes L_oh of these answers.

  Args:
    answers: logits [n, l].
    form: 'labels' for Eq. 5 and 6, 'class' for one class per image. Labels that
      exclude one another have the second form always, and a label alone the
      first.
    never_empty: whether Eq. 5 keeps each image's most probable label, if there
      are several.

  Returns:
    A scalar.
  """
  logits = answers.logits
  if answers.single_label:
    return losses.one_class(jax.nn.log_sigmoid(logits))
  has_one_label = logits.shape[1] == 1
  # Else an absent label would be the top one where all others are lower.
  present = jnp.where(logits == discriminators.ABSENT, -jnp.inf, logits)
  if form == 'class' and not has_one_label:
    return losses.one_class(present)
  labels = losses.pseudo_labels(
    present, never_empty=never_empty and not has_one_label
  )
  return losses.one_hot(logits, labels)


def _independent_logits(
  logits: chex.Array,
  teachers: Sequence[Teacher],
  label_map: LabelMap,
  *,
  routed: bool,
) -> list[chex.Array]:
  """Selects the answers in which teachers of independent labels have a part.

  Args:
    logits: the teachers' answers put together, [N, |U|].
    teachers: M of them.
    label_map: the teachers in the same order.
    routed: whether each row belongs to one teacher.

  Returns:
    Rows and labels of `logits`, [n, l] each: one array of all these teachers;
    if routed, one more for each of them that has one label only.
  """
  independent = [m for m, t in enumerate(teachers) if not t.single_label]
  of_one_label = [
    m for m in independent if routed and len(teachers[m].labels) == 1
  ]
  of_more_labels = [m for m in independent if m not in of_one_label]

  def answers(judges):
    if len(judges) == len(teachers):
      return logits
    labels = {x for m in judges for x in teachers[m].labels}
    columns = [i for i, x in enumerate(label_map.union) if x in labels]
    rows = logits
    if routed:
      rows = jnp.concatenate(
        [routing.teacher_rows(logits, m, len(teachers)) for m in judges]
      )
    return rows[:, np.array(columns)]

  groups = (of_more_labels, *([m] for m in of_one_label))
  return [answers(judges) for judges in groups if judges]
