"""A trained student and its folder, which needs no run, data or teachers.

The folder holds `config.json`, which describes the net and its labels, and
`model.safetensors`, its variables by their paths. A net that no config
describes, as a branched TargetNet with tails of any teachers, has its program
there, too.
"""

import functools
import pathlib
import reprlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import chex
import jax
import numpy as np

from dualgan_jax.display import printable
from dualgan_jax.errors import UserError, first_line
from dualgan_jax.student import (
  image_input,
  model_card,
  model_repository,
  program,
  student_config,
  student_folder,
  student_net,
)
from dualgan_jax.student.image_input import Picture
from dualgan_jax.student.model_card import CardFacts
from dualgan_jax.student.student_folder import CONFIG, PROGRAM
from dualgan_jax.teachers.preparation import Preparation


class Student:
  """A trained student.

  Attributes:
    labels: L labels, in the order of its answers.
    image_shape: (height, width, channels) that images are brought to.
    config: the folder's `config.json`.
    variables: of the net, on the device that it runs on.
    answer: a pure function of images [n, *image_shape] in [0, 1]; returns
      probabilities [n, L]. That of a program takes 64 images.
  """

  def __init__(
    self,
    config: Mapping[str, Any],
    apply: Callable[[Any, chex.Array], chex.Array],
    variables: Any,
    *,
    any_batch: bool = True,
  ):
    """Makes a student of a function; users call `load` instead.

    Args:
      config: the folder's `config.json`.
      apply: a pure function of variables and images; returns probabilities.
      variables: of `apply`.
      any_batch: whether `apply` takes fewer images than 64, too.
    """
    self.config = dict(config)
    self.labels = tuple(config['labels'])
    self.image_shape = tuple(config['image'])
    # Once, not with each call.
    self.variables = jax.device_put(variables)
    self.answer = functools.partial(apply, self.variables)
    self._any_batch = any_batch
    self._parameter_count = _count_parameters(variables)
    # Variables in a program would be compiled with it, and kept twice.
    self._answer = functools.partial(jax.jit(apply), self.variables)
    self._prepare = jax.jit(Preparation(self.image_shape))

  def __repr__(self) -> str:
    return (
      f'Student(labels={reprlib.repr(self.labels)}, '
      f'image_shape={self.image_shape}, {self._parameter_count:,} parameters)'
    )

  @property
  def image(self) -> tuple[int, int, int]:
    """Returns `image_shape`, by its name in version 0.1."""
    warnings.warn(
      'Student.image is now Student.image_shape; the old name will be removed.',
      DeprecationWarning,
      stacklevel=2,
    )
    return self.image_shape

  def predict(self, images: Picture | Sequence[Picture]) -> np.ndarray:
    """Computes the probability of each label.

    Args:
      images: an array [n, h, w, c], uint8, or floats in [0, 1], of any height
        and width, with one channel or three; or a file's path, or an image of
        Pillow; or a list of these, in which an array is one image [h, w, c].

    Returns:
      Probabilities [n, L], in the order of `labels`. `config['answers']` says
      whether each is by itself, and the label present above 0.5, or whether
      they tell which label it is and add up to 1.

    Raises:
      ValueError: `images` has another shape, kind or range.
      UserError: a file cannot be read, or JAX cannot run the net here, for want
        of memory or because a program is damaged.
    """
    images = image_input.as_sequence(images)
    probabilities = np.zeros((len(images), len(self.labels)), np.float32)
    for start in range(0, len(images), program.BATCH):
      batch = images[start : start + program.BATCH]
      # Files are read batch by batch, so that any number of them fits.
      if not isinstance(batch, np.ndarray):
        batch = image_input.stack_images(batch, self.image_shape, self._resize)
      end = start + len(batch)
      probabilities[start:end] = self._run(self._resize(batch))
    return probabilities

  def _resize(self, images: np.ndarray) -> np.ndarray:
    """Brings images [n, h, w, c] to floats [n, *image_shape] in [0, 1]."""
    largest = np.float32(255 if images.dtype == np.uint8 else 1)
    scaled = images.astype(np.float32) / largest
    if scaled.shape[1:] == self.image_shape:
      return scaled
    return np.asarray(self._prepare(scaled))

  def _run(self, images: np.ndarray) -> np.ndarray:
    """Runs the net on at most 64 images, and explains where JAX cannot."""
    num_images = len(images)
    # A power of two: few programs are compiled for any number of images.
    batch_size = (
      1 << (num_images - 1).bit_length() if self._any_batch else program.BATCH
    )
    if num_images < batch_size:
      padding = ((0, batch_size - num_images), (0, 0), (0, 0), (0, 0))
      images = np.pad(images, padding)
    try:
      return np.asarray(self._answer(images))[:num_images]
    # Of a program, JAX finds only now what is wrong inside.
    except (RuntimeError, ValueError) as error:
      raise UserError(
        'the student cannot be run here '
        f'({printable(first_line(error), 200)}); use fewer images at '
        'once, or bring its folder again.'
      ) from error


def _count_parameters(variables: Any) -> int:
  """Counts learned values, all but batch norm's running averages."""
  return sum(
    np.size(leaf)
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
    if 'batch_stats' not in jax.tree_util.keystr(path)
  )


def write(
  folder: pathlib.Path,
  variables: tuple[Any, ...],
  *,
  labels: tuple[str, ...],
  image_shape: tuple[int, int, int],
  net: Mapping[str, Any],
  origin: Mapping[str, Any],
  card_facts: CardFacts | None = None,
) -> None:
  """Writes a student's folder, in place of one that is there.

  Args:
    folder: to write.
    variables: B + 1 of them, as `Classifier.init` makes them.
    labels: in the order of its logits.
    image_shape: (height, width, channels).
    net: arguments of `classifier.create`, but for the labels.
    origin: facts about the run that trained it, for `config.json`.
    card_facts: more of them, for `README.md`.

  Raises:
    UserError: another folder is there, or it has other files in it.
  """
  config = _describe(labels, image_shape, net, origin)
  card = model_card.format_card(config, card_facts or CardFacts())
  student_folder.write(folder, student_net.flatten(variables), config, card)


def write_program(
  folder: pathlib.Path,
  apply: Callable[[Any, chex.Array], chex.Array],
  variables: Any,
  *,
  labels: tuple[str, ...],
  image_shape: tuple[int, int, int],
  net: Mapping[str, Any],
  origin: Mapping[str, Any],
) -> None:
  """Writes a folder of any net, with its program beside its variables.

  Args:
    folder: to write, in place of a student's that is there.
    apply: a function of variables and images [n, *image_shape]; returns logits
      [n, L].
    variables: a tree of arrays.
    labels: in the order of its logits.
    image_shape: (height, width, channels).
    net: facts about the net for `config.json`, 'single_label' among them.
    origin: facts about the run that trained it, for `config.json`.

  Raises:
    UserError: JAX cannot export `apply`, or another folder is there.
  """
  # The program takes a flat dict, as the file of variables is.
  leaves, structure = jax.tree_util.tree_flatten_with_path(variables)
  tensors = {
    jax.tree_util.keystr(path, simple=True, separator='/'): np.asarray(leaf)
    for path, leaf in leaves
  }
  names = tuple(tensors)

  def answer(tensors, images):
    nested = jax.tree.unflatten(structure, [tensors[name] for name in names])
    return jax.nn.sigmoid(apply(nested, images))

  try:
    program_bytes = program.write(answer, tensors, _abstract_batch(image_shape))
  except UserError as error:
    raise UserError(
      f'{printable(folder)}: not written, since code of a teacher cannot be '
      f'exported for {", ".join(program.PLATFORMS)} ({error}); give it without '
      'callbacks and kernels of one platform.'
    ) from error
  # One more tensor: one file and one checksum hold both.
  tensors[PROGRAM] = np.frombuffer(program_bytes, np.uint8)
  net = {**net, 'platforms': program.PLATFORMS}
  config = _describe(labels, image_shape, net, origin)
  student_folder.write(folder, tensors, config)


def load(folder: str | pathlib.Path) -> Student:
  """Loads the student of a folder.

  Nothing in a folder `student` is code. A folder `branched` holds a program,
  which can only compute, but may take any time to do so: load it from people
  whom you trust.

  Args:
    folder: `DIR/student` or `DIR/branched` of a run, or a copy of it; `DIR`,
      for its student; or `hf://owner/name[@revision]` of the Hugging Face Hub.

  Returns:
    The student, whose `predict` takes images of any size.

  Raises:
    UserError: it is not such a folder, or it is damaged.
  """
  folder = find_folder(folder)
  config, tensors = student_folder.read(folder)
  if PROGRAM in tensors:
    apply = _program_apply(folder, config, tensors)
    return Student(config, apply, tensors, any_batch=False)
  return Student(config, *student_net.build_apply(folder, config, tensors))


def find_folder(folder: str | pathlib.Path) -> pathlib.Path:
  """Finds the folder of a student: see `load`.

  Raises:
    UserError: it cannot be brought from the Hub.
  """
  if str(folder).startswith(model_repository.SCHEME):
    return model_repository.download(str(folder))
  folder = pathlib.Path(folder)
  # A run has such a folder; a student has not.
  run_student = folder / student_folder.STUDENT
  return run_student if (run_student / CONFIG).is_file() else folder


def _describe(
  labels: Sequence[str],
  image_shape: Sequence[int],
  net: Mapping[str, Any],
  origin: Mapping[str, Any],
) -> dict[str, Any]:
  """Makes the `config.json` of a student."""
  return {
    'format': student_config.FORMAT,
    'labels': list(labels),
    'image': list(image_shape),
    'net': dict(net),
    'preparation': 'scaled to [0, 1], resized bilinearly to `image`',
    'answers': (
      'probabilities of which label it is; they add up to 1'
      if net['single_label']
      else 'one probability per label, by itself; present above 0.5'
    ),
    'origin': dict(origin),
  }


def _abstract_batch(image_shape: Sequence[int]) -> jax.ShapeDtypeStruct:
  """Describes a batch of images that a program takes."""
  return jax.ShapeDtypeStruct((program.BATCH, *image_shape), np.float32)


def _program_apply(
  folder: pathlib.Path, config: Mapping[str, Any], tensors: dict[str, Any]
) -> Callable[[Any, chex.Array], chex.Array]:
  """Returns the pure function of a folder that `write_program` wrote."""
  program_bytes = tensors.pop(PROGRAM).tobytes()
  # Shapes that the program must have, so that a damaged one is found now.
  answers = jax.ShapeDtypeStruct(
    (program.BATCH, len(config['labels'])), np.float32
  )
  arguments = (tensors, _abstract_batch(config['image']))
  try:
    return program.read(program_bytes, arguments, answers)
  except UserError as error:
    raise UserError(
      f'{printable(folder)}: its program {error}; bring both files again, or '
      'install the version of JAX that its config.json names.'
    ) from error
