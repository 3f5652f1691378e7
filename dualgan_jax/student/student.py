"""The student that people take away: a folder that needs nothing else.

It holds `config.json`, what the net is and what it answers, and
`model.safetensors`, its variables by their paths. A net that no config
describes, as a branched TargetNet with tails of any teachers, has its program
there, too.
"""

import functools
import pathlib
import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import chex
import jax
import numpy as np
from flax import traverse_util

from dualgan_jax.display import printable
from dualgan_jax.errors import UserError, first_line
from dualgan_jax.networks import classifier
from dualgan_jax.student import (
  image_input,
  program,
  student_config,
  student_folder,
)
from dualgan_jax.student.image_input import Picture
from dualgan_jax.student.student_folder import PROGRAM
from dualgan_jax.teachers.preparation import Preparation


class Student:
  """A trained student.

  Attributes:
    labels: what it answers, in the order of its answers.
    image: the (height, width, channels) that images are brought to.
    config: the folder's `config.json`.
    answer: pure: maps images [n, *image] in [0, 1] to probabilities [n, L];
      that of a program takes 64 images.
  """

  def __init__(
    self,
    config: Mapping[str, Any],
    apply: Callable[[Any, chex.Array], chex.Array],
    variables: Any,
    *,
    any_batch: bool = True,
  ):
    """Use `load`.

    Args:
      config: see above.
      apply: pure: maps variables and images to probabilities.
      variables: of `apply`.
      any_batch: whether `apply` takes fewer images than 64, too.
    """
    self.config = dict(config)
    self.labels = tuple(config['labels'])
    self.image = tuple(config['image'])
    self.answer = functools.partial(apply, variables)
    self._any_batch = any_batch
    self._parameters = _count_parameters(variables)
    # Variables in a program would be compiled with it, and kept twice.
    self._answer = functools.partial(jax.jit(apply), variables)
    self._prepare = jax.jit(Preparation(self.image))

  def __repr__(self) -> str:
    return (
      f'Student(labels={reprlib.repr(self.labels)}, image={self.image}, '
      f'{self._parameters:,} parameters)'
    )

  def predict(self, images: Picture | Sequence[Picture]) -> np.ndarray:
    """The probability of each label.

    Args:
      images: an array [n, h, w, c], uint8, or floats in [0, 1], of any height
        and width, with one channel or three; or a file's path, or an image of
        Pillow; or a list of these, in which an array is one image [h, w, c].

    Returns:
      [n, L], in the order of `labels`; each by itself, present above 0.5,
      or, as `config['answers']` says, of which label it is.

    Raises:
      ValueError: `images` has another shape, kind or range.
      UserError: a file cannot be read, or JAX cannot run the net here, for want
        of memory or because a program is damaged.
    """
    x = image_input.gathered(images, self.image, self._sized)
    batch = program.BATCH
    if self._any_batch and len(x) < batch:
      # A power of two: few programs are compiled, whatever is asked for.
      batch = 1 << max(len(x) - 1, 0).bit_length()
    parts = [np.zeros((0, len(self.labels)), np.float32)]
    for i in range(0, len(x), batch):
      part = self._sized(x[i : i + batch])
      # The last part is filled up, once it is small: one compilation.
      missing = ((0, batch - len(part)), (0, 0), (0, 0), (0, 0))
      parts.append(self._run(np.pad(part, missing))[: len(part)])
    return np.concatenate(parts)

  def _sized(self, x: np.ndarray) -> np.ndarray:
    """Brings images [n, h, w, c] to floats [n, *image] in [0, 1]."""
    x = x.astype(np.float32) / np.float32(255 if x.dtype == np.uint8 else 1)
    return x if x.shape[1:] == self.image else np.asarray(self._prepare(x))

  def _run(self, images: np.ndarray) -> np.ndarray:
    try:
      return np.asarray(self._answer(images))
    # Of a program, JAX finds only now what is wrong inside.
    except (RuntimeError, ValueError) as e:
      raise UserError(
        f'the student cannot be run here ({printable(first_line(e), 200)}); '
        'use fewer images at once, or bring its folder again.'
      ) from e


def _count_parameters(variables: Any) -> int:
  """Counts learned values, all but batch norm's running averages."""
  return sum(
    np.size(x)
    for path, x in jax.tree_util.tree_leaves_with_path(variables)
    if 'batch_stats' not in jax.tree_util.keystr(path)
  )


def write(
  folder: pathlib.Path,
  variables: tuple[Any, ...],
  *,
  labels: tuple[str, ...],
  image: tuple[int, int, int],
  net: Mapping[str, Any],
  origin: Mapping[str, Any],
) -> None:
  """Writes a folder, in place of a student's that is there.

  Args:
    folder: to write.
    variables: B + 1 of them, as `Classifier.init` makes them.
    labels: in the order of its logits.
    image: (height, width, channels).
    net: arguments of `classifier.create`, but for the labels.
    origin: what else is to be known of it.

  Raises:
    UserError: what is there is not a student's, or has other files in it.
  """
  config = _config(labels, image, net, origin)
  student_folder.write(folder, _flat(variables), config)


def write_program(
  folder: pathlib.Path,
  apply: Callable[[Any, chex.Array], chex.Array],
  variables: Any,
  *,
  labels: tuple[str, ...],
  image: tuple[int, int, int],
  net: Mapping[str, Any],
  origin: Mapping[str, Any],
) -> None:
  """Writes a folder of any net: besides its variables, its program.

  Args:
    folder: to write, in place of a student's that is there.
    apply: maps variables and images [n, *image] to logits [n, L].
    variables: a tree of arrays.
    labels: in the order of its logits.
    image: (height, width, channels).
    net: what is to be known of it, 'single_label' among it.
    origin: what else is.

  Raises:
    UserError: JAX cannot export `apply`, or what is there is not a student's.
  """
  leaves, tree = jax.tree_util.tree_flatten_with_path(variables)
  tensors = {
    jax.tree_util.keystr(path, simple=True, separator='/'): np.asarray(x)
    for path, x in leaves
  }
  names = tuple(tensors)

  def answer(tensors, x):
    own = jax.tree.unflatten(tree, [tensors[name] for name in names])
    return jax.nn.sigmoid(apply(own, x))

  try:
    content = program.write(answer, tensors, _batch(image))
  except UserError as e:
    raise UserError(
      f'{printable(folder)}: not written, since code of a teacher cannot be '
      f'exported for {", ".join(program.PLATFORMS)} ({e}); give it without '
      'callbacks and kernels of one platform.'
    ) from e
  tensors[PROGRAM] = np.frombuffer(content, np.uint8)
  net = {**net, 'platforms': program.PLATFORMS}
  student_folder.write(folder, tensors, _config(labels, image, net, origin))


def load(folder: str | pathlib.Path) -> Student:
  """Loads the student of a folder.

  Nothing in a folder `student` is code. A folder `branched` holds a program,
  which can only compute, but may take any time to do so: load it from people
  whom you trust.

  Args:
    folder: `DIR/student` or `DIR/branched` of a run, or a copy of it.

  Raises:
    UserError: it is not such a folder, or it is damaged.
  """
  folder = pathlib.Path(folder)
  config, tensors = student_folder.read(folder)
  if PROGRAM in tensors:
    apply = _program_apply(folder, config, tensors)
    return Student(config, apply, tensors, any_batch=False)
  return Student(config, *_net_apply(folder, config, tensors))


def _config(labels, image, net, origin):
  return {
    'format': student_config.FORMAT,
    'labels': list(labels),
    'image': list(image),
    'net': dict(net),
    'preparation': 'scaled to [0, 1], resized bilinearly to `image`',
    'answers': (
      'probabilities of which label it is; they add up to 1'
      if net['single_label']
      else 'one probability per label, by itself; present above 0.5'
    ),
    'origin': dict(origin),
  }


def _batch(image):
  return jax.ShapeDtypeStruct((program.BATCH, *image), np.float32)


def _program_apply(folder, config, tensors):
  """Gives the pure function of a folder that `write_program` wrote."""
  content = tensors.pop(PROGRAM).tobytes()
  answers = jax.ShapeDtypeStruct(
    (program.BATCH, len(config['labels'])), np.float32
  )
  arguments = (tensors, _batch(config['image']))
  try:
    return program.read(content, arguments, answers)
  except UserError as e:
    raise UserError(
      f'{printable(folder)}: its program {e}; bring both files again, or '
      'install the version of JAX that its config.json names.'
    ) from e


def _net_apply(folder, config, tensors):
  """Gives the pure function of a folder that `write` wrote, and variables."""
  fault = student_config.net_fault(config)
  if fault:
    raise UserError(
      f'{printable(folder)}: its {student_folder.CONFIG} describes no net '
      f'({fault}); bring it again.'
    )
  lists = {k: tuple(v) for k, v in config['net'].items() if type(v) is list}
  net = classifier.create(
    **{**config['net'], **lists}, num_labels=len(config['labels'])
  )
  try:
    like = jax.eval_shape(
      lambda key: net.init(key, tuple(config['image'])), jax.random.PRNGKey(0)
    )
    wanted = {k: (v.shape, v.dtype) for k, v in _flat(like).items()}
  except (TypeError, ValueError, ZeroDivisionError):
    wanted = None  # no image is left after some block
  if wanted != {k: (v.shape, v.dtype) for k, v in tensors.items()}:
    raise UserError(
      f'{printable(folder)}: its {student_folder.MODEL} is not of the net in '
      f'its {student_folder.CONFIG}; bring both again.'
    )
  nested = traverse_util.unflatten_dict(tensors, sep='/')
  variables = tuple(nested[name] for name in _names(len(like)))

  def apply(variables, x):
    logits, _ = net.apply(variables, x, train=False)
    return jax.nn.sigmoid(logits)

  return apply, variables


def _names(parts):
  return [*(f'block_{b}' for b in range(1, parts)), 'head']


def _flat(variables):
  named = dict(zip(_names(len(variables)), variables, strict=True))
  return traverse_util.flatten_dict(named, sep='/')
