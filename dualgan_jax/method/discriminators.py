"""Filters before teachers, and their combined answers: Eq. 9 and 10."""

from collections.abc import Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from dualgan_jax.method import routing
from dualgan_jax.networks.filters import TeacherFilter
from dualgan_jax.teachers.forward import tail
from dualgan_jax.teachers.teacher import Teacher

# Logit of a label that none of the teachers that count answers: a probability
# of 1e-13, which keeps losses finite.
ABSENT = -30.0


def init_filter(key: chex.PRNGKey, channels: int, teacher_channels: int) -> Any:
  """Initialises the parameters of a filter between two widths.

  Args:
    key: a PRNG key.
    channels: number of channels of F_g^j or F_u^b.
    teacher_channels: number that the teacher's next block expects.

  Returns:
    Params of a `TeacherFilter`; 'projection' among them if the widths differ.
  """
  features = jnp.zeros((1, 1, 1, channels))
  return TeacherFilter(teacher_channels).init(key, features)['params']


def apply_filter(params: Any, features: chex.Array) -> chex.Array:
  """Computes f_m^j(F), Eq. 9.

  Args:
    params: as `init_filter` makes them.
    features: F_g^j or F_u^b, [N, h, w, c].

  Returns:
    [N, h, w, c'], c' the teacher's width.
  """
  # Params alone tell the width: callers need not know the teacher's.
  width = features.shape[-1]
  if 'projection' in params:
    width = params['projection']['kernel'].shape[-1]
  return TeacherFilter(width).apply({'params': params}, features)


def filter_image(filters: Any, image: chex.Array) -> chex.Array:
  """Computes f_m^B(I_g), [N, h, w, c], or leaves I_g if there is no f_m^B."""
  if 'image' not in filters:
    return image
  return apply_filter(filters['image'], image)


def combine_logits(
  logits: Sequence[chex.Array],
  owners: np.ndarray,
  answer_mask: chex.Array | None = None,
) -> chex.Array:
  """Combines the teachers' answers, each label once: O_g of Eq. 10.

  A label of several teachers gets the mean of their probabilities, in log
  space.

  Args:
    logits: one [N, |Y_m|] per teacher.
    owners: [L, K] columns of the concatenated answers, -1 for none
      (`LabelMap.owners`).
    answer_mask: bool [N, M], which teachers' answers count for each row; all if
      None. A label none of whose owners counts has logit `ABSENT`.

  Returns:
    Logits, [N, L].
  """
  answers = jnp.concatenate(logits, axis=-1)[:, owners]  # [N, L, K]
  counts = jnp.broadcast_to(owners >= 0, answers.shape)
  if answer_mask is not None:
    # The number of the teacher that each column of the answers is of.
    column_teacher = np.repeat(
      np.arange(len(logits)), [part.shape[-1] for part in logits]
    )
    counts &= jnp.asarray(answer_mask)[:, column_teacher[owners]]
  # A mean of one is itself, to the bit.
  elif owners.shape[1] == 1:
    return answers[:, :, 0]

  def log_sum(log_probabilities):
    return jax.nn.logsumexp(log_probabilities, axis=-1, where=counts)

  has_answer = jnp.any(counts, axis=-1)
  # Finite where no owner counts, for the gradient: `where` multiplies it by 0.
  counts |= ~has_answer[..., None]
  # The number of owners drops out of the odds.
  odds = log_sum(jax.nn.log_sigmoid(answers)) - log_sum(
    jax.nn.log_sigmoid(-answers)
  )
  return jnp.where(has_answer, odds, ABSENT)


def ensemble_logits(
  teachers: Sequence[Teacher],
  images: Sequence[chex.Array],
  owners: np.ndarray,
  *,
  routed: bool,
) -> chex.Array:
  """Runs the teachers on images and combines their answers, Eq. 10.

  The student learns these logits.

  Args:
    teachers: M of them.
    images: per teacher, the images behind its filter, [N, h, w, c].
    owners: see `combine_logits`.
    routed: whether sample i belongs to teacher i mod M alone (`routing`).

  Returns:
    Logits, [N, L].
  """
  num_teachers, logits = len(teachers), []
  for teacher_number, (teacher, teacher_images) in enumerate(
    zip(teachers, images, strict=True)
  ):
    # Only the rows whose answers count are computed.
    if routed:
      teacher_images = routing.teacher_rows(
        teacher_images, teacher_number, num_teachers
      )
    answers = tail(teacher, teacher.variables, teacher_images, 0)
    if routed:
      answers = routing.scatter_rows(answers, teacher_number, num_teachers)
    logits.append(answers)
  # Scattered rows hold zeros for other teachers' images: the mask hides them.
  answer_mask = None
  if routed:
    answer_mask = routing.answer_mask(len(images[0]), num_teachers)
  return combine_logits(logits, owners, answer_mask)
