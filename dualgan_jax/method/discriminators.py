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
  """Parameters of a filter between two widths.

  Args:
    key: a PRNG key.
    channels: those of F_g^j or F_u^b.
    teacher_channels: those that the teacher's next block expects.
  """
  x = jnp.zeros((1, 1, 1, channels))
  return TeacherFilter(teacher_channels).init(key, x)['params']


def filtered(params: Any, features: chex.Array) -> chex.Array:
  """f_m^j(F), Eq. 9.

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
  """f_m^B(I_g) where a teacher has a filter for the image, else I_g."""
  if 'image' not in filters:
    return image
  return filtered(filters['image'], image)


def combine(
  logits: Sequence[chex.Array],
  owners: np.ndarray,
  believed: chex.Array | None = None,
) -> chex.Array:
  """O_g, Eq. 10: the teachers' answers put together, each label once.

  A label owned by several teachers gets the mean of their probabilities, in
  log space.

  Args:
    logits: one [N, |Y_m|] per teacher.
    owners: [L, K] columns of the answers side by side, -1 for none
      (`LabelMap.owners`).
    believed: bool [N, M], whose answers count for each row; all if None. A
      label none of whose owners counts has logit `ABSENT`.

  Returns:
    Logits, [N, L].
  """
  together = jnp.concatenate(logits, axis=-1)
  answers = together[:, owners]  # [N, L, K]
  counts = jnp.broadcast_to(owners >= 0, answers.shape)
  if believed is not None:
    teacher = np.repeat(np.arange(len(logits)), [x.shape[-1] for x in logits])
    counts &= jnp.asarray(believed)[:, teacher[owners]]
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


def told(
  teachers: Sequence[Teacher],
  images: Sequence[chex.Array],
  owners: np.ndarray,
  *,
  routed: bool,
) -> chex.Array:
  """What the student is to say of images: the teachers' answers together.

  Args:
    teachers: M of them.
    images: per teacher, the images as it is shown them, [N, h, w, c].
    owners: see `combine`.
    routed: whether sample i belongs to teacher i mod M alone (`routing`).

  Returns:
    Logits, [N, L].
  """
  many, logits = len(teachers), []
  for m, (teacher, x) in enumerate(zip(teachers, images, strict=True)):
    own = routing.own_rows(x, m, many) if routed else x
    answer = tail(teacher, teacher.variables, own, 0)
    logits.append(routing.spread(answer, m, many) if routed else answer)
  believed = routing.believed(len(images[0]), many) if routed else None
  return combine(logits, owners, believed)
