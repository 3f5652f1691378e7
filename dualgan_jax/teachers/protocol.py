"""What every teacher that a user's own code makes has to keep to."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dualgan_jax import names
from dualgan_jax.errors import UserError, first_line
from dualgan_jax.networks.classifier import join, split
from dualgan_jax.teachers import forward
from dualgan_jax.teachers.teacher import Teacher, without_softmax
from dualgan_jax.training import console

_HALF = (np.dtype(np.float16), np.dtype(jnp.bfloat16))


def normalized(field: str, made: Any, origin: str) -> Teacher:
  """Sees that something is a teacher, its parts tuples; widens half precision.

  Args:
    field: of the config, for the messages.
    made: what the user's code made.
    origin: where it comes from, for the messages.

  Raises:
    UserError: it is no teacher, a part is no tuple, or a label is none.
  """
  if not isinstance(made, Teacher):
    raise UserError(
      f'{field}: {origin} must be a dualgan_jax.Teacher, but is a '
      f'{type(made).__name__}.'
    )
  for part in ('labels', 'blocks', 'variables'):
    if not isinstance(getattr(made, part), tuple | list):
      raise UserError(
        f'{field}: {part} of {origin} is a '
        f'{type(getattr(made, part)).__name__}; make it a tuple: one entry per '
        "label or block; the head's variables are the last."
      )
  for label in made.labels:
    if fault := names.label_fault(label):
      raise UserError(f'{field}: a label of {origin}, {label!r}, {fault}.')
  return made.replace(
    labels=tuple(made.labels),
    blocks=tuple(made.blocks),
    variables=jax.tree.map(_widened, tuple(made.variables)),
  )


def _widened(leaf):
  """Of single precision at least: Adam, who trains tails, divides by 1e-8."""
  half = getattr(leaf, 'dtype', None) in _HALF
  return leaf.astype(jnp.float32) if half else leaf


def check(field: str, teacher: Teacher, image: tuple[int, int, int]) -> None:
  """Sees that a teacher keeps to the protocol, by running it on two images.

  Says where its answers may be probabilities, but need not.

  Args:
    field: of the config, for the messages.
    teacher: any.
    image: (height, width, channels) that it is shown.

  Raises:
    UserError: its variables are not as Linen shapes them; its functions and
      variables don't fit one another or the image; its logits are not one per
      label; they are not finite, or probabilities; an image's answers depend on
      the others in its batch; it has no gradient; or it says that its labels
      exclude one another, and their probabilities don't add up to 1.
  """
  blocks, parts = len(teacher.blocks), len(teacher.variables)
  if blocks < 2 or parts != blocks + 1:
    raise UserError(
      f'{field}: {blocks} blocks and {parts} variables; give at least two '
      "blocks and, in this order, each one's variables and the head's."
    )
  for variables in teacher.variables:
    _refuse_unfit_variables(field, variables)
  x = jax.random.uniform(jax.random.PRNGKey(0), (2, *image))
  with_scores = (teacher, without_softmax(teacher))

  @jax.jit
  def answer(variables, x):
    # With the moments, which a stage will read, too.
    found = [
      forward.ladder(t.replace(variables=variables), x, {}) for t in with_scores
    ]
    return [one.image for one in found], found[0].moments

  with blamed(f'{field}: cannot answer images of {by(image)}'):
    _refuse_unfit(field, teacher, x)
    try:
      (both, scores), _ = answer(teacher.variables, x)
    except jax.errors.UnexpectedTracerError as e:
      raise UserError(
        f'{field}: a batch norm in it lies in what nn.remat, nn.scan or nn.jit '
        'wrap, where its moments cannot be read; build it without them.'
      ) from e
    both, scores = np.asarray(both), np.asarray(scores)
    (alone, _), _ = answer(teacher.variables, x[:1])
  if both.shape != (2, len(teacher.labels)):
    raise UserError(
      f'{field}: its head gives {both.shape} for 2 images and '
      f'{len(teacher.labels)} labels; it must give one logit per label.'
    )
  if teacher.single_label and len(teacher.labels) < 2:
    raise UserError(
      f'{field}: single_label, but it has one label only, which a softmax '
      'always gives; name all its labels, or leave single_label out.'
    )
  if not np.isfinite(both).all():
    raise UserError(f'{field}: its logits are not finite; look at its weights.')
  if not np.allclose(both[0], alone[0], rtol=1e-3, atol=1e-3):
    raise UserError(
      f'{field}: an image gets another answer beside another image; let batch '
      'norm use its running averages.'
    )
  if _are_probabilities(scores):
    raise UserError(
      f'{field}: its head gives probabilities; let it give what it puts into '
      'the softmax, and dualgan_jax.single_label say that there is one.'
    )
  if _lie_between_0_and_1(scores):
    console.say(
      f'{field}: its answers to two images all lie between 0 and 1; if they '
      'are probabilities, let its head give logits'
    )
  if not teacher.single_label and _are_log_probabilities(scores):
    raise UserError(
      f'{field}: its head gives log-probabilities of one label; let '
      'dualgan_jax.single_label say that there is a softmax.'
    )
  _refuse_gradientless(field, teacher, x)
  shares = jax.nn.sigmoid(both).sum(axis=1)
  if teacher.single_label and not np.allclose(shares, 1, atol=1e-3):
    raise UserError(
      f"{field}: it says single_label, but its labels' probabilities add up to "
      f'{shares[0]:.3g}; let dualgan_jax.single_label say so, not the argument.'
    )


def _refuse_unfit_variables(field, variables):
  """Sees that the variables of a block or head are as Linen shapes them."""
  # The branched TargetNet trains parameters, and keeps what is beside them.
  if not isinstance(variables, dict) or (
    variables and not {'params'} <= set(variables) <= {'params', 'batch_stats'}
  ):
    raise UserError(
      f'{field}: some of its variables are {_kind(variables)}; give those of '
      "each block and of the head as {'params': ..., 'batch_stats': ...}, what "
      "a gradient may move under 'params'."
    )
  averages = variables.get('batch_stats', {None: None})
  if not isinstance(averages, dict) or not averages:
    raise UserError(
      f"{field}: some of its 'batch_stats' are {_kind(averages)}; make them "
      'a dict, and leave them out where there are none.'
    )
  for place, leaf in jax.tree_util.tree_leaves_with_path(
    variables.get('params')
  ):
    if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
      raise UserError(
        f"{field}: 'params'{jax.tree_util.keystr(place)} is of type "
        f'{jnp.result_type(leaf)}, which no gradient moves; put it under '
        "'batch_stats'."
      )


def _refuse_gradientless(field, teacher, x):
  """Sees that generator and branched net can learn through a teacher."""
  params, averages = split(teacher.variables)
  # Of labels that exclude one another the plain sum might not change at all.
  weights = jnp.arange(1, len(teacher.labels) + 1)

  def total(params, x):
    logits = forward.tail(teacher, join(params, averages), x, 0)
    return (logits @ weights).sum()

  with blamed(f'{field}: has no gradient'):
    _, to_image = jax.jit(jax.grad(total, (0, 1)))(params, x)
  if not (np.any(to_image) and np.isfinite(to_image).all()):
    raise UserError(
      f'{field}: its answers have no gradient to the image, or none that is '
      'finite, so no generator can learn from them; let it round, cut off and '
      'stop nothing, and take no root of 0.'
    )


def _refuse_unfit(field, teacher, x):
  """Says which of a teacher's parts does not take what the one before gives."""
  blocks = len(teacher.blocks)
  names = [f'block {b}' for b in range(1, blocks + 1)] + ['head']
  parts = (*teacher.blocks, teacher.head)
  for name, part, own in zip(names, parts, teacher.variables, strict=True):
    with blamed(f'{field}: its {name} cannot take {by(x.shape[1:])}'):
      x = jax.eval_shape(part, own, x)
    if not isinstance(x, jax.ShapeDtypeStruct):
      raise UserError(
        f'{field}: its {name} gives a {type(x).__name__}; let it return one '
        'array, its features or logits.'
      )
    # What comes after the last block is between it and the head alone.
    if name not in names[-2:] and len(x.shape) != 4:
      raise UserError(
        f'{field}: its {name} gives features of shape {x.shape}; between '
        'blocks they must be [N, height, width, channels].'
      )


@contextlib.contextmanager
def blamed(failure: str) -> Iterator[None]:
  """Makes one sentence of whatever the user's code may raise.

  Args:
    failure: the beginning of the sentence.

  Raises:
    UserError: always, if anything is raised inside.
  """
  try:
    yield
  except UserError:
    raise
  except Exception as e:
    raise UserError(f'{failure} ({type(e).__name__}: {first_line(e)}).') from e


def by(shape: Sequence[int]) -> str:
  """Shows a shape: 32×32×3."""
  return '×'.join(map(str, shape))


def _are_probabilities(scores):
  whole = np.allclose(scores.sum(axis=1), 1, atol=1e-4)
  return whole and _lie_between_0_and_1(scores)


def _are_log_probabilities(scores):
  whole = np.allclose(np.logaddexp.reduce(scores, axis=1), 0, atol=1e-4)
  return whole and scores.shape[1] > 1


def _lie_between_0_and_1(scores):
  return ((scores >= 0) & (scores <= 1)).all()


def _kind(own: Any) -> str:
  if isinstance(own, dict):
    return f'a dict of {", ".join(map(repr, own)) or "nothing"}'
  return f'of type {type(own).__name__}'
