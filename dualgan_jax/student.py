"""The student that people take away: a folder that needs nothing else.

It holds `config.json`, what the net is and what it answers, and
`model.safetensors`, its variables by their paths. A net that no config
describes, as a branched TargetNet with tails of any teachers, has its program
there, too.
"""

import json
import pathlib
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jax import export
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from dualgan_jax.errors import UserError, first_line
from dualgan_jax.networks import classifier
from dualgan_jax.teachers import Preparation

_CONFIG = 'config.json'
_MODEL = 'model.safetensors'
_FORMAT = 1
_BATCH = 64
# How far beyond [0, 1] resizing may have taken pixels.
_SLACK = 0.1
_PROGRAM = 'program'  # a tensor of bytes: what `jax.export` serialises
PLATFORMS = ('cpu', 'cuda', 'tpu')  # that programs are made for


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
    answer: Callable[[chex.Array], chex.Array],
  ):
    """Use `load`."""
    self.config = dict(config)
    self.labels = tuple(config['labels'])
    self.image = tuple(config['image'])
    self.answer = answer
    self._jitted = jax.jit(answer)

  def predict(self, images: np.ndarray) -> np.ndarray:
    """The probability of each label.

    Args:
      images: [n, h, w, c], uint8, or floats in [0, 1]; of any height and width,
        with one channel or three.

    Returns:
      [n, L], in the order of `labels`; each by itself, present above 0.5,
      or, as `config['answers']` says, of which label it is.

    Raises:
      ValueError: `images` has another shape, kind or range.
    """
    x = np.asarray(images)
    if x.ndim != 4 or x.shape[-1] not in (1, 3):
      raise ValueError(
        f'images of shape {x.shape}, but it must be [n, height, width, 1 or 3]'
      )
    whole = x.dtype == np.uint8
    if not (whole or np.issubdtype(x.dtype, np.floating)):
      raise ValueError(f'images are {x.dtype}, but must be uint8 or floats')
    if (
      not whole
      and x.size
      and not (x.min() >= -_SLACK and x.max() <= 1 + _SLACK)
    ):
      raise ValueError(
        f'images are floats from {x.min():.3g} to {x.max():.3g}, but must be '
        'in [0, 1], or uint8'
      )
    prepare = Preparation(self.image)
    parts = [np.zeros((0, len(self.labels)), np.float32)]
    for i in range(0, len(x), _BATCH):
      part = jnp.asarray(x[i : i + _BATCH], jnp.float32)
      part = part / 255 if whole else part
      # The last part is filled up, once it is small: one compilation.
      missing = ((0, _BATCH - len(part)), (0, 0), (0, 0), (0, 0))
      answers = self._jitted(jnp.pad(prepare(part), missing))
      parts.append(np.asarray(answers)[: len(part)])
    return np.concatenate(parts)


def write(
  folder: pathlib.Path,
  variables: tuple[Any, ...],
  *,
  labels: tuple[str, ...],
  image: tuple[int, int, int],
  net: Mapping[str, Any],
  origin: Mapping[str, Any],
) -> None:
  """Writes a folder, in place of one that is there.

  Args:
    folder: to write.
    variables: B + 1 of them, as `Classifier.init` makes them.
    labels: in the order of its logits.
    image: (height, width, channels).
    net: arguments of `classifier.create`, but for the labels.
    origin: what else is to be known of it.
  """
  _write(folder, _flat(variables), labels, image, net, origin)


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
    folder: to write, in place of one that is there.
    apply: maps variables and images [n, *image] to logits [n, L].
    variables: a tree of arrays.
    labels: in the order of its logits.
    image: (height, width, channels).
    net: what is to be known of it, 'single_label' among it.
    origin: what else is.

  Raises:
    UserError: JAX cannot export `apply`.
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

  # Of a fixed number of images: code of others need not be polymorphic.
  images = jax.ShapeDtypeStruct((_BATCH, *image), np.float32)
  exported = export.export(jax.jit(answer), platforms=PLATFORMS)
  try:
    program = exported(tensors, images)
  except Exception as e:  # whatever code of others may raise
    raise UserError(
      f'{folder}: not written, since code of a teacher cannot be exported for '
      f'{", ".join(PLATFORMS)} ({type(e).__name__}: {first_line(e)}); give it '
      'without callbacks and kernels of one platform.'
    ) from e
  tensors[_PROGRAM] = np.frombuffer(program.serialize(), np.uint8)
  net = {**net, 'platforms': PLATFORMS}
  _write(folder, tensors, labels, image, net, origin)


def _write(folder, tensors, labels, image, net, origin):
  part = folder.with_name(f'{folder.name}.part')
  shutil.rmtree(part, ignore_errors=True)
  part.mkdir(parents=True)
  # Not `save_file`, whose files only their owner may read.
  # In C order: it writes memory as it lies, and looks at no strides.
  ordered = {k: np.asarray(x, order='C') for k, x in tensors.items()}
  (part / _MODEL).write_bytes(save(ordered))
  config = {
    'format': _FORMAT,
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
  text = json.dumps(config, indent=1, ensure_ascii=False)
  (part / _CONFIG).write_text(text + '\n', encoding='utf-8')
  shutil.rmtree(folder, ignore_errors=True)
  part.rename(folder)


def load(folder: str | pathlib.Path) -> Student:
  """Loads the student of a folder.

  Args:
    folder: `DIR/student` or `DIR/branched` of a run, or a copy of it.

  Raises:
    UserError: it is not such a folder, or it is damaged.
  """
  folder = pathlib.Path(folder)
  try:
    config = json.loads((folder / _CONFIG).read_text(encoding='utf-8'))
    tensors = load_file(folder / _MODEL)
    found, _, _ = (config[k] for k in ('format', 'labels', 'image'))
  except (OSError, ValueError, KeyError, TypeError, SafetensorError) as e:
    raise UserError(
      f'{folder}: no folder of a student, or damaged ({e}); give the folder '
      '`student` or `branched` of a finished run, with its '
      f'{_CONFIG} and {_MODEL}.'
    ) from e
  if found != _FORMAT:
    raise UserError(
      f'{folder}: of format {found}, but this version reads format {_FORMAT}; '
      'install the version of dualgan_jax that wrote it.'
    )
  if _PROGRAM in tensors:
    return Student(config, _of_program(folder, config, tensors))
  return Student(config, _of_net(folder, config, tensors))


def _of_program(folder, config, tensors):
  """The pure function of a folder that `write_program` wrote."""
  try:
    program = export.deserialize(bytearray(tensors.pop(_PROGRAM)))
  except Exception as e:  # flatbuffers raises many kinds
    raise UserError(
      f'{folder}: its program cannot be read ({e!r}); bring {_MODEL} again, or '
      f'install the version of JAX that {_CONFIG} names.'
    ) from e
  images = jax.ShapeDtypeStruct((_BATCH, *config['image']), np.float32)
  wanted = jax.tree.leaves((tensors, images))
  answers = (_BATCH, len(config['labels']))
  if [x.shape for x in wanted] != [x.shape for x in program.in_avals] or (
    program.out_avals[0].shape != answers
  ):
    raise _unfit(folder)
  return lambda x: program.call(tensors, x)


def _of_net(folder, config, tensors):
  """The pure function of a folder that `write` wrote."""
  try:
    net = _net(config)
    like = jax.eval_shape(
      lambda key: net.init(key, tuple(config['image'])), jax.random.PRNGKey(0)
    )
  except (KeyError, TypeError, ValueError) as e:
    raise UserError(
      f'{folder}: its {_CONFIG} describes no net ({e}); bring it again.'
    ) from e
  wanted = {k: v.shape for k, v in _flat(like).items()}
  if wanted != {k: v.shape for k, v in tensors.items()}:
    raise _unfit(folder)
  found = traverse_util.unflatten_dict(tensors, sep='/')
  variables = tuple(found[name] for name in _names(len(like)))

  def answer(x):
    logits, _ = net.apply(variables, x, train=False)
    return jax.nn.sigmoid(logits)

  return answer


def _unfit(folder):
  return UserError(
    f'{folder}: its {_MODEL} is not of the net in its {_CONFIG}; bring both '
    'again.'
  )


def _net(config):
  net = {
    k: tuple(v) if isinstance(v, list) else v for k, v in config['net'].items()
  }
  return classifier.create(**net, labels=len(config['labels']))


def _names(parts):
  return [*(f'block_{b}' for b in range(1, parts)), 'head']


def _flat(variables):
  named = dict(zip(_names(len(variables)), variables, strict=True))
  return traverse_util.flatten_dict(named, sep='/')
