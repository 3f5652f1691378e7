"""Configs whose teachers are files of torch.export."""

import numpy as np
import pytest

import dualgan_jax
from dualgan_jax.config import builders, schema
from dualgan_jax.errors import UserError
from dualgan_jax.experiment import description, external_teachers
from dualgan_jax.experiment.nets import build_nets
from dualgan_jax.experiment.run import run
from dualgan_jax.teachers import forward, reference_logits, weight_files
from tests import torch_exports
from tests.paths import FILES

FILE = FILES / torch_exports.FILES_BY_VERSION['2.13']


def _config(*, precision='float32', **changes):
  """Builds a checked config of one teacher, with changes of its fields."""
  return schema.check(_user_config(precision=precision, **changes))


def _user_config(*, precision='float32', **changes):
  """Builds the same as a user has it."""
  config = builders.get_config()
  config.experiment = 'exported'
  config.image_shape = (8, 8, 3)
  config.labels = ('a', 'c')
  config.teachers = {
    'one': {
      'labels': tuple('abcde'),
      **builders.torch_export(
        **{
          'address': str(FILE),
          'mean': (0.5, 0.4, 0.3),
          'std': (0.2,),
          **changes,
        }
      ),
    }
  }
  config.student = builders.conv((4, 5), (1, 2))
  config.generator.widths = (8, 4)
  config.precision = precision
  return config


def test_a_file_is_a_teacher_of_a_run():
  config = _config(merge=(2,), single_label=True)
  nets = build_nets(config)
  teacher = nets.teachers['one']
  assert (len(teacher.blocks), teacher.single_label) == (2, True)
  assert len(nets.unmerged['one'].blocks) == 3
  assert forward.has_batch_norm(teacher, nets.image_shape)
  text = description.describe(nets, config)
  assert f'one ({FILE}) answers one of a, b, c, d, e: ' in text
  assert 'one: block 1 gives 8×8×4, cut after layer1' in text
  assert '4 batch norms that the statistics prior sees' in text
  assert 'logits of its example within' in text


@pytest.mark.slow
def test_a_file_and_no_data_are_enough_for_a_student(tmp_path):
  config = _user_config(merge=(2,), single_label=True)
  for group in ('generator', 'dual', 'refine'):
    config[group].steps = 2
  for steps in ('compact_steps', 'branched_steps'):
    config.targetnet[steps] = 2
  config.refine.branched_steps = 2
  run(config, str(tmp_path))
  for folder in ('student', 'branched'):
    student = dualgan_jax.load(str(tmp_path / folder))
    assert student.labels == ('a', 'c')
    assert student.predict(np.zeros((1, 8, 8, 3), np.uint8)).shape == (1, 2)


def test_modules_to_cut_after_may_be_named():
  nets = build_nets(_config(cut_after=('layer1', 'layer2')))
  shapes = forward.feature_shapes(nets.teachers['one'], (8, 8, 3))
  assert shapes == [(8, 8, 4), (4, 4, 6)]


def test_half_precision_is_close():
  nets = build_nets(_config(merge=(2,), precision='bfloat16'))
  images = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
  half, single = (
    forward.tail(teacher, teacher.variables, images, 0)
    for teacher in (nets.teachers['one'], nets.unmerged['one'])
  )
  assert 1e-5 < np.abs(half - single).max() < 0.1
  assert half.dtype == np.float32


def test_a_reference_is_compared(tmp_path):
  teacher = build_nets(_config(merge=(2,))).unmerged['one']
  images = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
  logits = reference_logits.compute_logits(teacher, images)
  path = tmp_path / 'reference.npz'
  np.savez(path, images=images, logits=1.1 * logits)
  with pytest.raises(UserError, match=r'one\.reference: the logits are not'):
    build_nets(_config(merge=(2,), reference=str(path)))


def test_the_run_knows_the_file_by_its_sum():
  config, teachers = external_teachers.read(_config(), {})
  assert not teachers
  assert config.teachers['one'].sha256 == weight_files.digest(FILE)
  with pytest.raises(UserError, match=r'teachers\.one\.sha256: .* has the sum'):
    external_teachers.read(_config(sha256='0' * 64), {})


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'cut_after': 'layer1'}, 'cut_after: .* should be a tuple of texts'),
    ({'address': 3}, 'torch_export: 3, but it should be a text'),
    ({'architecture': 'lenet5'}, 'architecture'),
  ],
)
def test_wrong_fields_are_refused(changes, message):
  with pytest.raises(UserError, match=message):
    _config(**changes)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'address': 'none.pt2'}, r'one\.torch_export: there is no file'),
    ({'labels': ('a', 'c')}, r'one\.labels: 2, but .* gives 5 logits'),
    ({'merge': (3,)}, r'one\.merge: there is no block after block 3 of 3'),
    ({'cut_after': ('layer1', 'x')}, "cut_after: 'x' is no module"),
    ({}, "has 3; cut all nets into the same number, PyTorch's by `merge`"),
  ],
)
def test_what_does_not_fit_is_refused(changes, message):
  with pytest.raises(UserError, match=message):
    build_nets(_config(**changes))
