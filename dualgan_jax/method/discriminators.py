"""Filters before teachers, and teachers' answers together: Eq. 9 and 10."""

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

# The logit of a label that nobody who counts answers: a probability of 1e-13.
ABSENT = -30.0


def new_filter(key: chex.PRNGKey, channels: int, teacher_channels: int) -> Any:
  """Initialises the parameters of a filter between two widths.

  Args:
    key: a PRNG key.
    channels: those of F_g^j or F_u^b.
    teacher_channels: those that the teacher's next block expects.
  """
  x = jnp.zeros((1, 1, 1, channels))
  return TeacherFilter(teacher_channels).init(key, x)['params']


def filtered(params: Any, features: chex.Array) -> chex.Array:
  """Computes f_m^j(F), Eq. 9.

  Args:
    params: as `new_filter` makes them.
    features: F_g^j or F_u^b, [N, h, w, c].

  Returns:
    [N, h, w, c'], c' the teacher's width.
  """
  width = features.shape[-1]
  if 'projection' in params:
    width = params['projection']['kernel'].shape[-1]
  return TeacherFilter(width).apply({'params': params}, features)


def filter_image(filters: Any, image: chex.Array) -> chex.Array:
  """Computes f_m^B(I_g), [N, h, w, c], or leaves I_g if there is no f_m^B."""
  if 'image' not in filters:
    return image
  return filtered(filters['image'], image)


def combine(
  logits: Sequence[chex.Array],
  owners: np.ndarray,
  answer_mask: chex.Array | None = None,
) -> chex.Array:
  """Puts the teachers' answers together, each label once: O_g of Eq. 10.

  A label owned by several teachers gets the mean of their probabilities, in
  log space.

  Args:
    logits: one [N, |Y_m|] per teacher.
    owners: [L, K] columns of the answers side by side, -1 for none
      (`LabelMap.owners`).
    answer_mask: bool [N, M], whose answers count for each row; all if None. A
      label none of whose owners counts has logit `ABSENT`.

  Returns:
    Logits, [N, L].
  """
  answers = jnp.concatenate(logits, axis=-1)[:, owners]  # [N, L, K]
  counts = jnp.broadcast_to(owners >= 0, answers.shape)
  if answer_mask is not None:
    teacher = np.repeat(np.arange(len(logits)), [x.shape[-1] for x in logits])
    counts &= jnp.asarray(answer_mask)[:, teacher[owners]]
  elif owners.shape[1] == 1:
    return answers[:, :, 0]

  def log_sum(x):
    return jax.nn.logsumexp(x, axis=-1, where=counts)

  anyone = jnp.any(counts, axis=-1)
  # Kept finite where nobody counts, for the gradient.
  counts |= ~anyone[..., None]
  # The number of owners drops out of the odds.
  odds = log_sum(jax.nn.log_sigmoid(answers)) - log_sum(
    jax.nn.log_sigmoid(-answers)
  )
  return jnp.where(anyone, odds, ABSENT)


def ensemble_logits(
  teachers: Sequence[Teacher],
  images: Sequence[chex.Array],
  owners: np.ndarray,
  *,
  routed: bool,
) -> chex.Array:
  """Runs the teachers on images and puts their answers together, Eq. 10.

  Logits that the student is to learn.

  Args:
    teachers: M of them.
    images: per teacher, the images behind its filter, [N, h, w, c].
    owners: see `combine`.
    routed: whether sample i belongs to teacher i mod M alone (`routing`).

  Returns:
    Logits, [N, L].
  """
  num_teachers, logits = len(teachers), []
  for m, (teacher, x) in enumerate(zip(teachers, images, strict=True)):
    if routed:
      x = routing.teacher_rows(x, m, num_teachers)
    answers = tail(teacher, teacher.variables, x, 0)
    if routed:
      answers = routing.scatter_rows(answers, m, num_teachers)
    logits.append(answers)
  answer_mask = None
  if routed:
    answer_mask = routing.answer_mask(len(images[0]), num_teachers)
  return combine(logits, owners, answer_mask)
