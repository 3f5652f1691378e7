"""Teachers from files of `torch.export`."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dualgan_jax.display import format_shape, printable
from dualgan_jax.errors import UserError
from dualgan_jax.teachers import preparation, weight_files
from dualgan_jax.teachers import teacher as teachers
from dualgan_jax.teachers.independence import check_independence
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.teachers.torch_export import exported_net
from dualgan_jax.teachers.torch_export.block import GraphBlock
from dualgan_jax.teachers.torch_export.exported_net import ExportedNet

# Relative to the largest logit, as for weight files.
_TOLERANCE = 1e-3
_MIN_LOGIT = 1e-6  # of nets whose logits are all about 0


@dataclasses.dataclass(frozen=True)
class Options:
  """What a file does not say of its net.

  Attributes:
    labels: in the order of the logits.
    single_label: whether they exclude one another.
    mean: of images in [0, 1], for all channels or for each.
    std: standard deviation, for all channels or for each.
    cut_after: modules to cut after; None to let it choose.
    dtype: type to compute in; None for that of the images.
    field: of the config, for the messages: 'teachers.NAME.', or ''.
  """

  labels: tuple[str, ...]
  single_label: bool = False
  mean: tuple[float, ...] = (0.0,)
  std: tuple[float, ...] = (1.0,)
  cut_after: Sequence[str] | None = None
  dtype: jnp.dtype | None = None
  field: str = ''


def read(field: str, address: str) -> ExportedNet:
  """Finds and reads a file.

  Args:
    field: of the config, for the messages.
    address: a path, or `hf://owner/name/file`.

  Raises:
    UserError: there is none, or it is none of `torch.export`; or see
      `exported_net.read`.
  """
  return exported_net.read(weight_files.find(field, address))


def make(name: str, net: ExportedNet, options: Options) -> Teacher:
  """Makes a teacher of a net.

  Args:
    name: of the teacher.
    net: of a file.
    options: see `Options`.

  Raises:
    UserError: options don't fit the net, stored logits differ, or an image's
      logits depend on the others of its batch.
  """
  field = options.field
  if len(options.labels) != net.num_logits:
    raise UserError(
      f'{field}labels: {len(options.labels)}, but {net.path} gives '
      f'{net.num_logits} logits; name one label for each, in their order.'
    )
  # What images need before the net sees them: all that the file cannot say.
  prepare = preparation.make(field, net.image_shape, options.mean, options.std)
  cuts = net.choose_cuts(options.cut_after)
  functions, variables = net.cut(cuts, options.dtype)
  # In half precision, they are not exact enough to be compared.
  difference = (
    _try_out(net, functions, variables) if options.dtype is None else 0
  )
  # Not `>`, so that NaN is refused.
  if difference is not None and not difference <= _TOLERANCE:
    raise UserError(
      f'{net.path}: the logits of its example are not those that it stores '
      f'({difference:.1e} of the largest apart); store those of the same model '
      'in evaluation mode.'
    )
  teacher = Teacher(
    name,
    options.labels,
    functions[:-1],
    functions[-1],
    variables,
    image_shape=net.image_shape,
  )
  teacher = teachers.prepared(teacher, prepare)
  return teachers.single_label(teacher) if options.single_label else teacher


def describe(
  net: ExportedNet, cut_after: Sequence[str] | None = None
) -> list[str]:
  """Describes what was understood of a file, line by line.

  Args:
    net: of the file.
    cut_after: modules to cut after; None to let it choose.

  Raises:
    UserError: it cannot be cut there, or an image's logits depend on the
      others of its batch.
  """
  cuts = net.choose_cuts(cut_after)
  operations = ', '.join(
    f'{count} {name}' for name, count in net.count_operations().items()
  )
  lines = [
    f'written by PyTorch {net.torch_version}; takes images of '
    f'{format_shape(net.image_shape)}, gives {net.num_logits} logits'
  ]
  lines += [
    f'block {number} gives {format_shape(cut.feature_shape)}, cut after '
    f'{net.place_of(cut)}'
    for number, cut in enumerate(cuts, start=1)
  ]
  lines += [
    f'{net.count_batch_norms()} batch norms that the statistics prior sees',
    f'operations: {operations}',
  ]
  difference = _try_out(net, *net.cut(cuts))
  lines.append(
    'no logits of its example to compare with; store them by '
    "extra_files={'logits.json': json.dumps(model(x).tolist())}"
    if difference is None
    else f'logits of its example within {difference:.1e} of the largest'
  )
  return [printable(line) for line in lines]


def _try_out(
  net: ExportedNet,
  functions: Sequence[GraphBlock],
  variables: Sequence[Any],
) -> float | None:
  """Computes the largest difference from the logits in the file.

  Args:
    net: of the file.
    functions: of the blocks and the head.
    variables: of each.

  Returns:
    As a share of the largest logit; None if the file has no logits.

  Raises:
    UserError: the first image's logits depend on the others of its batch.
  """
  numbers = np.random.default_rng(0)
  images, expected = net.example or (
    numbers.standard_normal((2, *net.image_shape), np.float32),
    None,
  )

  @jax.jit
  def forward_pass(variables, features):
    for function, part in zip(functions, variables, strict=True):
      features = function(part, features)
    return features

  # The same program answers both, so that the second time costs little.
  others = numbers.standard_normal(images.shape, np.float32)
  # Accelerators would multiply float32 matrices in lower precision.
  with jax.default_matmul_precision('highest'):
    logits, other_logits = (
      np.asarray(forward_pass(variables, batch))
      for batch in (images, np.concatenate([images[:1], others[1:]]))
    )
  check_independence(str(net.path), logits[0], other_logits[0])
  if expected is None:
    return None
  errors = np.abs(logits - expected)
  return float(errors.max() / max(np.abs(expected).max(), _MIN_LOGIT))
