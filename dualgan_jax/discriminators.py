"""What teachers say of features: Eq. 4, 9, 10 and 12.

A discriminator is nothing but the tail of a frozen teacher: D_m^j, the last j
blocks, for generator group j (Eq. 4), and D_d^{b,m}, the blocks after the
student's block b (Eq. 12), which is D_m^{B-b}.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from dualgan_jax import routing
from dualgan_jax.losses import Moments
from dualgan_jax.networks.filters import TeacherFilter
from dualgan_jax.teachers import Teacher, record_moments

# The logit of a label that nobody who counts answers: a probability of 1e-13.
ABSENT = -30.0


class Ladder(NamedTuple):
  """One teacher's answers to an image and to features that enter on its way.

  Attributes:
    image: logits of O_m(I_g), [N, |Y_m|].
    entries: by block, logits of the features that entered after it.
    activations: the image's features before the head, [N, h, w, c].
    moments: of the image's rows, one entry per batch-norm layer.
  """

  image: chex.Array
  entries: dict[int, chex.Array]
  activations: chex.Array
  moments: list[Moments]


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


def ladder(
  teacher: Teacher, image: chex.Array, entries: Mapping[int, chex.Array]
) -> Ladder:
  """All of a teacher's answers of one step in one pass.

  Features that enter after block b are judged by the teacher's last B - b
  blocks: D_m^{B-b} of Eq. 4, and D_d^{b,m} of Eq. 12. They join the image's
  own features there, stacked along the batch, so that each block runs once.

  Args:
    teacher: teacher m, frozen; must treat rows alone.
    image: I_g, [N, h, w, c].
    entries: by block b (1 .. B-1), filtered features that enter after it, with
      any number of rows.
  """
  rows, x, moments, entered = image.shape[0], image, [], {}
  parts = zip(teacher.blocks, teacher.variables[:-1], strict=True)
  for b, (block, variables) in enumerate(parts, start=1):
    x, seen = record_moments(block, variables, x, rows)
    moments += seen
    if b in entries:
      entered[b] = slice(x.shape[0], x.shape[0] + entries[b].shape[0])
      x = jnp.concatenate([x, entries[b]])
  logits, seen = record_moments(teacher.head, teacher.variables[-1], x, rows)
  logits = _widened(logits)
  moments += seen
  return Ladder(
    logits[:rows],
    {b: logits[where] for b, where in entered.items()},
    x[:rows],
    moments,
  )


def tail(
  teacher: Teacher, variables: Sequence[Any], features: chex.Array, after: int
) -> chex.Array:
  """The teacher's blocks after block `after` and its head, Eq. 12.

  Args:
    teacher: gives the functions.
    variables: of blocks after+1 .. B and of the head: the teacher's own, or a
      copy that is being trained.
    features: [N, h, w, c]; images if `after` is 0.
    after: 0 .. B-1.

  Returns:
    Logits, [N, |Y_m|].
  """
  *blocks, head = variables
  for block, own in zip(teacher.blocks[after:], blocks, strict=True):
    features = block(own, features)
  return _widened(teacher.head(head, features))


def _widened(logits):
  # In half precision sure answers would be certain ones.
  return logits.astype(jnp.promote_types(logits.dtype, jnp.float32))


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
