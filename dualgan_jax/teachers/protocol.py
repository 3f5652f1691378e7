"""Checks that a teacher of a user's own code keeps to the protocol."""

import dataclasses
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from dualgan_jax import names
from dualgan_jax.display import format_shape
from dualgan_jax.errors import UserError
from dualgan_jax.networks.classifier import join, split
from dualgan_jax.teachers import forward, statistics
from dualgan_jax.teachers.independence import check_independence
from dualgan_jax.teachers.teacher import Teacher, without_softmax
from dualgan_jax.teachers.user_errors import user_errors
from dualgan_jax.training import console

_HALF_TYPES = (np.dtype(np.float16), np.dtype(jnp.bfloat16))


def normalize_teacher(field: str, candidate: Any, origin: str) -> Teacher:
  """Checks the types of a teacher's parts, and makes them tuples.

  Half precision becomes single precision.

  Args:
    field: of the config, for the messages.
    candidate: made by the user's code; of any type.
    origin: where it comes from, for the messages.

  Returns:
    A teacher of the same functions.

  Raises:
    UserError: it is no teacher, a part is no tuple, or a label is no string
      that can name one.
  """
  if not isinstance(candidate, Teacher):
    raise UserError(
      f'{field}: {origin} must be a dualgan_jax.Teacher, but is a '
      f'{type(candidate).__name__}.'
    )
  # Dataclasses check no types: a list would fail later, out of sight.
  for part in ('labels', 'blocks', 'variables'):
    if not isinstance(getattr(candidate, part), tuple | list):
      raise UserError(
        f'{field}: {part} of {origin} is a '
        f'{type(getattr(candidate, part)).__name__}; make it a tuple: one '
        "entry per label or block; the head's variables are the last."
      )
  for label in candidate.labels:
    if fault := names.label_fault(label):
      raise UserError(f'{field}: a label of {origin}, {label!r}, {fault}.')
  return dataclasses.replace(
    candidate,
    labels=tuple(candidate.labels),
    blocks=tuple(candidate.blocks),
    variables=jax.tree.map(_widen_half, tuple(candidate.variables)),
    statistics=statistics.normalize(field, candidate.statistics),
  )


def _widen_half(leaf: Any) -> Any:
  """Casts half precision: Adam, which trains tails, divides by 1e-8."""
  is_half = getattr(leaf, 'dtype', None) in _HALF_TYPES
  return leaf.astype(jnp.float32) if is_half else leaf


class _Answers(NamedTuple):
  """A teacher's answers to two images, and to the first by itself.

  Attributes:
    logits: [2, |Y_m|].
    scores: the head's output before `single_label`'s softmax, [2, |Y_m|].
    single_logits: of the first image in a batch of one, [1, |Y_m|].
  """

  logits: np.ndarray
  scores: np.ndarray
  single_logits: np.ndarray


def check_teacher(
  field: str, teacher: Teacher, image_shape: tuple[int, int, int]
) -> None:
  """Checks that a teacher keeps to the protocol, by running it on two images.

  Warns where its answers may be probabilities, but need not be.

  Args:
    field: of the config, for the messages.
    teacher: any.
    image_shape: (height, width, channels) of the images that it takes.

  Raises:
    UserError: its variables are not as Linen shapes them; its functions and
      variables don't fit one another or the image; its logits are not one per
      label; they are not finite, or probabilities; an image's answers depend on
      the others in its batch; it has no gradient; or its field `single_label`
      is set, and their probabilities don't add up to 1.
  """
  num_blocks, num_parts = len(teacher.blocks), len(teacher.variables)
  if num_blocks < 2 or num_parts != num_blocks + 1:
    raise UserError(
      f'{field}: {num_blocks} blocks and {num_parts} variables; give at least '
      "two blocks and, in this order, each one's variables and the head's."
    )
  for variables in teacher.variables:
    _check_variables(field, variables)
  images = jax.random.uniform(jax.random.PRNGKey(0), (2, *image_shape))
  statistics.check(field, teacher, image_shape)
  answers = _run_teacher(field, teacher, images)
  _check_logits(field, teacher, answers)
  _check_scores(field, teacher, answers.scores)
  _check_gradient(field, teacher, images)
  # Sigmoids of `single_label`'s logits are a softmax's probabilities.
  sums = jax.nn.sigmoid(answers.logits).sum(axis=1)
  if teacher.single_label and not np.allclose(sums, 1, atol=1e-3):
    raise UserError(
      f"{field}: it says single_label, but its labels' probabilities add up to "
      f'{sums[0]:.3g}; let dualgan_jax.single_label say so, not the argument.'
    )


def _run_teacher(field: str, teacher: Teacher, images: chex.Array) -> _Answers:
  """Runs a teacher on images [2, h, w, c], or explains why it cannot."""
  variants = (teacher, without_softmax(teacher))

  @jax.jit
  def answer(variables, images):
    # With the moments, which a stage will read, too.
    ladders = [
      forward.ladder(
        dataclasses.replace(variant, variables=variables), images, {}
      )
      for variant in variants
    ]
    return [ladder.image for ladder in ladders], ladders[0].moments

  shape_text = format_shape(images.shape[1:])
  with user_errors(f'{field}: cannot answer images of {shape_text}'):
    # Shapes first: these messages name the block that does not fit.
    _check_shapes(field, teacher, images)
    try:
      (logits, scores), _ = answer(teacher.variables, images)
    except jax.errors.UnexpectedTracerError as error:
      raise UserError(
        f'{field}: a batch norm in it lies in what nn.remat, nn.scan or nn.jit '
        'wrap, where its moments cannot be read; build it without them.'
      ) from error
    logits, scores = np.asarray(logits), np.asarray(scores)
    (single_logits, _), _ = answer(teacher.variables, images[:1])
  return _Answers(logits, scores, np.asarray(single_logits))


def _check_logits(field: str, teacher: Teacher, answers: _Answers) -> None:
  """Checks the number and values of a teacher's logits."""
  logits = answers.logits
  if logits.shape != (2, len(teacher.labels)):
    raise UserError(
      f'{field}: its head gives {logits.shape} for 2 images and '
      f'{len(teacher.labels)} labels; it must give one logit per label.'
    )
  if teacher.single_label and len(teacher.labels) < 2:
    raise UserError(
      f'{field}: single_label, but it has one label only, which a softmax '
      'always gives; name all its labels, or leave single_label out.'
    )
  if not np.isfinite(logits).all():
    raise UserError(f'{field}: its logits are not finite; look at its weights.')
  # Features of others enter the same batch (`forward.ladder`).
  check_independence(field, logits[0], answers.single_logits[0])


def _check_scores(field: str, teacher: Teacher, scores: np.ndarray) -> None:
  """Checks that a head gives neither probabilities nor their logarithms.

  Args:
    field: of the config, for the messages.
    teacher: any.
    scores: the head's output before a softmax, [2, |Y_m|].
  """
  if _are_probabilities(scores):
    raise UserError(
      f'{field}: its head gives probabilities; let it give what it puts into '
      'the softmax, and dualgan_jax.single_label say that there is one.'
    )
  # Logits of two images may lie there by chance: no error.
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


def _check_variables(field: str, variables: Any) -> None:
  """Checks that the variables of a block or head are as Linen shapes them."""
  # The branched TargetNet trains 'params' only.
  if not isinstance(variables, dict) or (
    variables and not {'params'} <= set(variables) <= {'params', 'batch_stats'}
  ):
    raise UserError(
      f'{field}: some of its variables are {_describe_type(variables)}; give '
      "those of each block and of the head as {'params': ..., 'batch_stats': "
      "...}, what a gradient may move under 'params'."
    )
  averages = variables.get('batch_stats', {None: None})
  if not isinstance(averages, dict) or not averages:
    raise UserError(
      f"{field}: some of its 'batch_stats' are {_describe_type(averages)}; "
      'make them a dict, and leave them out where there are none.'
    )
  # Integers, for instance, have no gradient.
  for path, leaf in jax.tree_util.tree_leaves_with_path(
    variables.get('params')
  ):
    if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
      raise UserError(
        f"{field}: 'params'{jax.tree_util.keystr(path)} is of type "
        f'{jnp.result_type(leaf)}, which no gradient moves; put it under '
        "'batch_stats'."
      )


def _check_gradient(field: str, teacher: Teacher, images: chex.Array) -> None:
  """Checks that generator and branched net can learn through a teacher."""
  params, averages = split(teacher.variables)
  # Of labels that exclude one another the plain sum might not change at all.
  weights = jnp.arange(1, len(teacher.labels) + 1)

  def weighted_sum(params, images):
    logits = forward.tail(teacher, join(params, averages), images, 0)
    return (logits @ weights).sum()

  with user_errors(f'{field}: has no gradient'):
    grad_fn = jax.jit(jax.grad(weighted_sum, (0, 1)))
    _, image_gradient = grad_fn(params, images)
  if not (np.any(image_gradient) and np.isfinite(image_gradient).all()):
    raise UserError(
      f'{field}: its answers have no gradient to the image, or none that is '
      'finite, so no generator can learn from them; let it round, cut off and '
      'stop nothing, and take no root of 0.'
    )


def _check_shapes(field: str, teacher: Teacher, images: chex.Array) -> None:
  """Checks that each part of a teacher takes the output of the one before."""
  features: Any = images
  num_blocks = len(teacher.blocks)
  part_names = [f'block {number}' for number in range(1, num_blocks + 1)]
  part_names.append('head')
  parts = (*teacher.blocks, teacher.head)
  for name, part, variables in zip(
    part_names, parts, teacher.variables, strict=True
  ):
    shape_text = format_shape(features.shape[1:])
    with user_errors(f'{field}: its {name} cannot take {shape_text}'):
      features = jax.eval_shape(part, variables, features)
    if not isinstance(features, jax.ShapeDtypeStruct):
      raise UserError(
        f'{field}: its {name} gives a {type(features).__name__}; let it return '
        'one array, its features or logits.'
      )
    # Only the head reads the last block's features: they may have any shape.
    if name not in part_names[-2:] and len(features.shape) != 4:
      raise UserError(
        f'{field}: its {name} gives features of shape {features.shape}; '
        'between blocks they must be [N, height, width, channels].'
      )


def _are_probabilities(scores: np.ndarray) -> bool:
  """Returns whether each row is a distribution over the labels."""
  adds_up = np.allclose(scores.sum(axis=1), 1, atol=1e-4)
  return adds_up and _lie_between_0_and_1(scores)


def _are_log_probabilities(scores: np.ndarray) -> bool:
  """Returns whether each row is a distribution's logarithm."""
  adds_up = np.allclose(np.logaddexp.reduce(scores, axis=1), 0, atol=1e-4)
  return adds_up and scores.shape[1] > 1


def _lie_between_0_and_1(scores: np.ndarray) -> bool:
  """Returns whether all scores could be probabilities."""
  return bool(((scores >= 0) & (scores <= 1)).all())


def _describe_type(variables: Any) -> str:
  """Describes variables of a wrong type, for a message."""
  if isinstance(variables, dict):
    return f'a dict of {", ".join(map(repr, variables)) or "nothing"}'
  return f'of type {type(variables).__name__}'
