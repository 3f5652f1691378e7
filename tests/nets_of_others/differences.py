"""Measures how far teachers of weight files are from PyTorch.

python -m tests.nets_of_others.differences
"""

import collections
import pathlib
import re
import tempfile
from collections.abc import Mapping

import jax
import numpy as np
import torch

from dualgan_jax.config.teacher_groups import WeightsTeacher
from dualgan_jax.experiment import weight_teachers
from tests.nets_of_others.models import MODELS, NUM_LABELS, PublicModel
from tests.nets_of_others.resnets import double

_MEAN, _DEVIATION = 0.4, 0.25
_BATCH_SIZE = 2


def measure(model: PublicModel, folder: pathlib.Path) -> float:
  """Saves a model, loads it as a teacher, and compares both in full precision.

  Args:
    model: of a public repository.
    folder: for the file.

  Returns:
    The largest difference of a logit, or of a feature after a block, as a share
    of the largest one there.
  """
  torch.manual_seed(0)
  net = double(model.make())
  path = folder / 'weights.pth'
  torch.save(model.save(net.state_dict()), path)
  images = np.random.default_rng(0).random((_BATCH_SIZE, *model.image_shape))
  with torch.no_grad():
    inputs = torch.from_numpy((images - _MEAN) / _DEVIATION).permute(0, 3, 1, 2)
    features = list(net.blocks(inputs))
    expected = [x.permute(0, 2, 3, 1).numpy() for x in features]
    expected.append(net.head(features[-1]).numpy())
  actual = _run_teacher(_build_teacher(model, path), images)
  return max(
    np.abs(ours - theirs).max() / np.abs(theirs).max()
    for ours, theirs in zip(actual, expected, strict=True)
  )


def _build_teacher(model, path):
  """Builds the teacher that a config would name."""
  teacher_config = WeightsTeacher(
    architecture=model.architecture,
    weights=str(path),
    labels=tuple(map(str, range(NUM_LABELS))),
    mean=(_MEAN,),
    std=(_DEVIATION,),
    stem_pool=model.stem_pool,
  )
  _, teacher = weight_teachers.build(
    'x',
    teacher_config,
    model.image_shape,
    None,
  )
  return teacher


def _run_teacher(teacher, images):
  """Computes a teacher's features after each block, and its logits."""

  @jax.jit
  def run(variables, features):
    outputs = []
    for part, part_variables in zip(
      (*teacher.blocks, teacher.head), variables, strict=True
    ):
      features = part(part_variables, features)
      outputs.append(features)
    return outputs

  return run(teacher.variables, images.astype(np.float32))


def table(differences: Mapping[PublicModel, float]) -> list[str]:
  """Makes the rows of docs/teachers.md: one per repository and kind of net.

  Args:
    differences: by model, its largest difference.
  """
  rows = collections.defaultdict(list)
  for model in differences:
    # 'cifar_resnet20' and 'cifar_resnet32' are of one kind.
    kind = re.sub(r'\d+', '', model.architecture)
    rows[model.repository, model.door, kind].append(model)
  return [
    f'| {repository} | {", ".join(model.net for model in models)} | {door} | '
    f'{", ".join(dict.fromkeys(f"`{x.architecture}`" for x in models))} | '
    f'{max(differences[model] for model in models):.0e} |'
    for (repository, door, _), models in rows.items()
  ]


def main() -> None:
  """Prints the rows of docs/teachers.md."""
  with tempfile.TemporaryDirectory() as folder:
    differences = {
      model: measure(model, pathlib.Path(folder)) for model in MODELS
    }
  print('\n'.join(table(differences)))


if __name__ == '__main__':
  main()
