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


def list_judged_answers(
  logits: chex.Array,
  ladders: Sequence[Ladder],
  teachers: Sequence[Teacher],
  label_map: LabelMap,
  *,
  entropy: str,
  routed: bool,
) -> list[JudgedAnswers]:
  """Lists the answers of all teachers in the parts that are judged apart.

  Teachers of independent labels are judged together (Eq. 6), those of one label
  per image each by itself, as DAFL does.

  Args:
    logits: the teachers' answers to I_g combined, [N, |U|].
    ladders: per teacher, its answers to I_g.
    teachers: M of them.
    label_map: the teachers in the same order.
    entropy: form of L_ie, one of `losses.ENTROPY_FORMS`; where only one form
      fits the answers, that one counts.
    routed: whether each row belongs to one teacher.

  Returns:
    Parts with rows and labels of `logits`, then one part per teacher of one
    label per image.
  """
  independent_logits = _independent_logits(
    logits, teachers, label_map, routed=routed
  )
  single_label_logits = [
    ladder.image
    for teacher, ladder in zip(teachers, ladders, strict=True)
    if teacher.single_label
  ]
  # The share of one label is 1 always: only 'bernoulli' asks for half.
  single_label_entropy = 'dafl' if entropy == 'dafl' else 'softmax'
  return [
    JudgedAnswers(part, entropy if part.shape[1] > 1 else 'bernoulli', False)
    for part in independent_logits
  ] + [
    JudgedAnswers(part, single_label_entropy, True)
    for part in single_label_logits
  ]


def label_mean(answers: JudgedAnswers) -> chex.Array:
  """Averages probabilities over rows, [l], for `information_entropy`."""
  # Sigmoids of these logits are a softmax's probabilities already.
  if answers.single_label:
    return losses.label_mean(answers.logits)
  return losses.label_mean(answers.logits, answers.entropy)


def one_hot(
  answers: JudgedAnswers,
  form: str,
  *,
  never_empty: bool,
  label_share: float = 1.0,
) -> chex.Array:
  """Computes L_oh of these answers.

  Args:
    answers: logits [n, l].
    form: 'labels' for Eq. 5 and 6, 'class' for one class per image. Labels that
      exclude one another have the second form always, and a label alone the
      first.
    never_empty: whether Eq. 5 keeps each image's most probable label, if there
      are several.
    label_share: share of all labels that are judged: never empty of these is as
      large a share of the images, those in which one of them is most probable.

  Returns:
    A scalar.
  """
  logits = answers.logits
  # The logarithms of a softmax's probabilities: a second softmax leaves them.
  if answers.single_label:
    return losses.one_class(jax.nn.log_sigmoid(logits))
  has_one_label = logits.shape[1] == 1
  # Else an absent label would be the top one where all others are lower.
  present = jnp.where(logits == discriminators.ABSENT, -jnp.inf, logits)
  if form == 'class' and not has_one_label:
    return losses.one_class(present)
  # A label alone would be kept on every image.
  labels = losses.pseudo_labels(
    present,
    never_empty=never_empty and not has_one_label,
    labelled_share=label_share,
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
    logits: the teachers' answers combined, [N, |U|].
    teachers: M of them.
    label_map: the teachers in the same order.
    routed: whether each row belongs to one teacher.

  Returns:
    Rows and labels of `logits`, [n, l] each: one array of all these teachers;
    if routed, one more for each of them that has one label only.
  """
  # Numbers of teachers. A routed teacher of one label judges by itself: no
  # other label could be absent from its images.
  independent = [
    number
    for number, teacher in enumerate(teachers)
    if not teacher.single_label
  ]
  of_one_label = [
    number
    for number in independent
    if routed and len(teachers[number].labels) == 1
  ]
  of_more_labels = [
    number for number in independent if number not in of_one_label
  ]

  def part_of(judges):
    if len(judges) == len(teachers):
      return logits
    labels = {label for number in judges for label in teachers[number].labels}
    label_columns = [
      column for column, label in enumerate(label_map.union) if label in labels
    ]
    rows = logits
    # Only rows that these teachers judge: the others carry none of the labels.
    if routed:
      rows = jnp.concatenate(
        [
          routing.teacher_rows(logits, number, len(teachers))
          for number in judges
        ]
      )
    return rows[:, np.array(label_columns)]

  judge_groups = (of_more_labels, *([number] for number in of_one_label))
  return [part_of(judges) for judges in judge_groups if judges]
