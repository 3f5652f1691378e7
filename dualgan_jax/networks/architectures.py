"""The architectures whose PyTorch weights we can take over, by their names."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from dualgan_jax.errors import UserError
from dualgan_jax.networks import lenet, pytorch, resnet, vgg, wide_resnet
from dualgan_jax.networks.classifier import Classifier

# Buffers of PyTorch's that nothing is computed from.
_UNREAD = 'num_batches_tracked'
_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class Architecture:
  """A net, and how the weight files of its repositories name its parts.

  Attributes:
    create: `(labels, dtype=...) -> Classifier`.
    renamed: other names of its parts, from the start of a tensor's name or
      after a dot, and ours.
    smallest: the least height and width of an image that it can take.
    largest: the greatest, if its head is for features of one size.
  """

  create: Callable[..., Classifier]
  renamed: Mapping[str, str] = dataclasses.field(default_factory=dict)
  smallest: int = 16
  largest: int | None = None


def _resnet(layers, small):
  return functools.partial(resnet.create, layers, small=small)


_CIFAR_NAMES = {'fc': 'linear', 'downsample': 'shortcut'}
_LENET_NAMES = {
  'features.0': 'conv1',
  'features.3': 'conv2',
  'features.6': 'conv3',
  'fc.0': 'fc1',
  'fc.2': 'fc2',
}
ARCHITECTURES = {
  'resnet18': Architecture(_resnet(18, small=False), smallest=32),
  'resnet34': Architecture(_resnet(34, small=False), smallest=32),
  'resnet50': Architecture(_resnet(50, small=False), smallest=32),
  'cifar_resnet18': Architecture(_resnet(18, small=True), _CIFAR_NAMES),
  'cifar_resnet34': Architecture(_resnet(34, small=True), _CIFAR_NAMES),
  **{
    f'wrn_{layers}_{widen}': Architecture(
      functools.partial(wide_resnet.create, layers, widen)
    )
    for layers in (16, 40)
    for widen in (1, 2)
  },
  'cifar_vgg11_bn': Architecture(vgg.create),
  'lenet5': Architecture(lenet.create, _LENET_NAMES, smallest=32, largest=35),
}


def take_over(
  field: str,
  name: str,
  tensors: Mapping[str, np.ndarray],
  labels: int,
  image: tuple[int, int, int],
) -> tuple[Any, ...]:
  """A file's tensors as the variables of an architecture.

  Args:
    field: of the config, for the messages.
    name: a key of `ARCHITECTURES`.
    tensors: as `weights.read` gives them.
    labels: how many the teacher answers.
    image: (height, width, channels) as this teacher takes it.

  Returns:
    B + 1 variable dicts, as `Classifier.init` makes them.

  Raises:
    UserError: tensors are missing, of another shape, not finite, not known, or
      negative variances; the message has their names, and the architecture or
      the labels and channels that they would fit.
  """
  given = _renamed(tensors, ARCHITECTURES[name])
  like = abstract(name, labels, image)
  wrong = _disagreement(pytorch.names(like), given)
  if wrong:
    others = [x for x in ARCHITECTURES if x != name and _fits(x, tensors)]
    hint = f'; they fit {", ".join(others)}' if others else ''
    raise UserError(
      f'{field}: not the weights of a {name}: {wrong}'
      f'{hint or _what_fits(name, given, labels, image)}.'
    )
  strange = [k for k, x in given.items() if not np.isfinite(x).all()]
  if strange:
    raise UserError(
      f'{field}: {_some(strange)} holds NaN or infinity; take weights of an '
      'earlier epoch.'
    )
  negative = [
    k for k, x in given.items() if k.endswith('running_var') and (x < 0).any()
  ]
  if negative:
    raise UserError(
      f'{field}: {_some(negative)} holds negative variances; write the file '
      'again.'
    )
  return pytorch.convert(given, like)


def _renamed(tensors, architecture):
  def ours(name):
    name = f'.{name}'
    for theirs, own in architecture.renamed.items():
      name = name.replace(f'.{theirs}.', f'.{own}.')
    return name[1:]

  return {ours(k): v for k, v in tensors.items() if not k.endswith(_UNREAD)}


def _what_fits(name, given, labels, image):
  """A hint, where other labels or channels are all that is wrong."""
  *size, channels = image
  counts = {len(x) for x in given.values() if x.ndim == 1}
  for c in dict.fromkeys((channels, 1, 3)):
    for count in dict.fromkeys((labels, *sorted(counts))):
      like = abstract(name, count, (*size, c))
      if _disagreement(pytorch.names(like), given):
        continue
      cures = []
      if count != labels:
        cures.append(f'it answers {count} labels, so name all of them')
      if c != channels:
        shown = '×'.join(map(str, (*size, c)))
        cures.append(f'it takes {c} channel(s), so set its size to {shown}')
      return '; ' + ' and '.join(cures)
  return ''


@functools.cache
def abstract(
  name: str, labels: int, image: tuple[int, int, int]
) -> tuple[Any, ...]:
  """An architecture's variables, of shapes only."""
  net = ARCHITECTURES[name].create(labels)
  return jax.eval_shape(lambda key: net.init(key, image), jax.random.key(0))


def _disagreement(wanted, given):
  missing = [k for k in wanted if k not in given]
  extra = [k for k in given if k not in wanted]
  other = [
    f'{k} is {_by(given[k].shape)} instead of {_by(shape)}'
    for k, shape in wanted.items()
    if k in given and given[k].shape != shape
  ]
  return ', '.join(
    [
      f'{_some(x)} {what}'
      for x, what in ((missing, 'missing'), (extra, 'unknown'))
      if x
    ]
    + other[:_SHOWN]
  )


def _fits(name, tensors):
  """Whether an architecture has these tensors, whatever it answers."""
  architecture = ARCHITECTURES[name]
  given = _renamed(tensors, architecture)
  # What its head and its first convolution would be, for one of each.
  one = pytorch.names(abstract(name, 1, (architecture.smallest,) * 2 + (1,)))
  try:
    (labels,) = {
      given[k].shape[0] for k, shape in one.items() if shape[:1] == (1,)
    }
    (channels,) = {
      given[k].shape[1]
      for k, shape in one.items()
      if len(shape) == 4 and shape[1] == 1
    }
  except (KeyError, IndexError, ValueError):
    return False
  image = (architecture.smallest,) * 2 + (channels,)
  return not _disagreement(pytorch.names(abstract(name, labels, image)), given)


def _some(names):
  more = len(names) - _SHOWN
  return ', '.join(names[:_SHOWN]) + (f' and {more} more' if more > 0 else '')


def _by(shape):
  return '×'.join(map(str, shape)) or 'a number'
