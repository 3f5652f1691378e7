"""Makes every stage's phase, in every form that its step has."""

import jax
import numpy as np
import optax
import pytest

from dualgan_jax.config import stage_table
from dualgan_jax.config.augmentation_group import Augmentation
from dualgan_jax.method import branched
from dualgan_jax.stages import (
  branch_points,
  distillation,
  dual,
  pretrain,
  routing_probe,
)
from dualgan_jax.teachers.preparation import Preparation
from dualgan_jax.training.image_batches import RealImages
from tests import tiny
from tests.stages import test_refine


def _dual(block_number, **changes):
  return tiny.dual_phase(
    block_number, tiny.keep_gradient(), lambda_generated=0.5, **changes
  )


def _pretrain():
  targets = np.eye(3, dtype=np.float32)[np.arange(40) % 3]
  return pretrain.phase(
    'pretrain/one',
    tiny.net((4, 6, 8), 3, kind='residual'),
    Preparation(tiny.IMAGE),
    lambda: RealImages(tiny.images(), targets, shift=1, flip=True),
    stage_table.Pretrain(steps=3, batch=tiny.BATCH),
    tiny.keep_gradient(),
  )


def _real():
  answer_mask = np.arange(80).reshape(40, 2) % 3 > 0
  return distillation.RealImageSets(
    (RealImages(tiny.images(), answer_mask),), tiny.IMAGE[:2]
  )


def _distil(draw, origin, net=None):
  student = tiny.student()
  apply, variables = student.apply, tiny.variables_of(student)
  if net == 'branched':
    filters = [
      tiny.source().filters['one']['group_2'],
      tiny.source().filters['two']['group_1'],
    ]
    branched_net, variables = branched.create(
      student.blocks,
      variables,
      filters,
      tiny.both_teachers(),
      [1, 2],
      tiny.LABEL_MAP,
    )
    apply = branched_net.apply
  return distillation.phase(
    'targetnet/x',
    apply,
    lambda key: variables,
    draw,
    tiny.LABEL_MAP,
    lambda: distillation.DistillationInputs(tiny.both_teachers(), origin),
    Augmentation(shift=1, flip=True, mixup=0.5),
    temperature=2.0,
    steps=3,
    batch_size=tiny.BATCH,
    optimiser=tiny.keep_gradient(),
  )


def _measure():
  student = tiny.student()
  variables = tiny.variables_of(student)
  frozen = dual.BlockInputs(tiny.both_teachers(), tiny.source(), variables)
  filters = {
    f'block_{block_number}': {
      name: groups[f'group_{3 - block_number}']
      for name, groups in tiny.source().filters.items()
    }
    for block_number in (1, 2)
  }
  return branch_points.branch_phase(
    student,
    tiny.LABEL_MAP,
    branch_points.BranchPointInputs(frozen, filters),
    num_batches=3,
    batch_size=tiny.BATCH,
  )


def _probe():
  routed = tiny.generator_phase(optax.sgd(0.1), routed=True)
  return routing_probe.phase(
    'generator/misfit',
    tiny.generator(),
    tiny.LATENT_DIM,
    tiny.both_teachers(),
    jax.jit(routed.init)(jax.random.PRNGKey(3)),
    num_batches=3,
    batch_size=tiny.BATCH,
  )


PHASES = {
  'pretrain': _pretrain,
  'generator': lambda: tiny.generator_phase(tiny.keep_gradient()),
  'generator, routed, bernoulli entropy, image filter': lambda: (
    tiny.generator_phase(
      tiny.keep_gradient(), routed=True, entropy='bernoulli', image_filter=True
    )
  ),
  'routing probe': _probe,
  'dual, block 1': lambda: _dual(1),
  'dual, block 2': lambda: _dual(2),
  'dual, block 2 with an adapter': lambda: _dual(2, channels=(5, 3, 1)),
  'dual, block 2, routed': lambda: _dual(2, routed=True),
  'dual, block 3': lambda: _dual(3),
  'branch losses': _measure,
  'compact on generated images': lambda: _distil(
    distillation.draw_generated, tiny.source()
  ),
  'branched on routed images': lambda: _distil(
    distillation.draw_generated, tiny.source(routed=True), 'branched'
  ),
  'branched on stored images': lambda: _distil(
    distillation.draw_stored,
    distillation.StoredImages(tiny.images(), tiny.source(routed=True)),
    'branched',
  ),
  'refine': lambda: test_refine.phase(optimiser=tiny.keep_gradient()),
  'refine, routed': lambda: test_refine.phase(
    optimiser=tiny.keep_gradient(), routed=True
  ),
  'noise': lambda: _distil(
    distillation.draw_noise, np.zeros(tiny.IMAGE, np.float32)
  ),
  'real data': lambda: _distil(distillation.draw_real, _real()),
}
# One of each kind is a fast test, the others are slow.
_FAST_NAMES = (
  'pretrain',
  'generator',
  'dual, block 2',
  'compact on generated images',
  'refine',
)
NAMES = [
  pytest.param(name, marks=() if name in _FAST_NAMES else pytest.mark.slow)
  for name in PHASES
]
