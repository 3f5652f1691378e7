"""Nets of a config: they fit together, or one sentence says why not."""

import jax
import ml_collections
import pytest

from dualgan_jax import describe, plan, settings, teachers
from dualgan_jax.errors import UserError
from experiments.configs import digits


def _config(**changes):
  config = digits.get_config('smoke')
  config.generator.features = config.student.widths[:-1]
  for field, value in changes.items():
    group, _, name = field.rpartition('__')
    node = config
    for part in filter(None, group.split('__')):
      node = node[part]
    node[name] = value
  return settings.check(config)


def test_the_generator_mirrors_the_student():
  design = plan.make(_config(student__widths=(3, 4, 5)))
  # B = 3: F_g^1 meets block 2, F_g^2 block 1, F_g^3 is the image.
  assert design.generator.sizes == ((4, 4), (8, 8), (16, 16))
  assert design.generator.channels == (8, 8, 1)


def test_group_sizes_follow_any_image():
  design = plan.make(_config(image=(28, 28, 1)))
  assert design.generator.sizes == ((7, 7), (14, 14), (28, 28))


def test_teachers_may_differ_in_kind_and_width():
  design = plan.make(
    _config(
      teachers__low__kind='residual',
      teachers__low__widths=(3, 5, 7),
      teachers__low__depths=(1, 2, 1),
    )
  )
  assert len(design.teachers['low'].blocks) == 3


@pytest.mark.parametrize(
  ('changes', 'says'),
  [
    ({'teachers__low__strides': (2, 1, 1)}, 'teachers.low.strides: block 2'),
    ({'student__strides': (1, 2, 1)}, 'student.strides: block 1'),
    ({'generator__widths': (4, 4)}, 'generator.widths: 2 values'),
    ({'generator__features': (4,)}, 'generator.features: 1 values'),
    ({'labels': ('1', 'x')}, "labels: no teacher answers 'x'"),
    ({'labels': ('1', '1')}, "labels: '1' stands there twice"),
    ({'labels': ()}, 'labels: name at least one'),
    ({'teachers__low__labels': ('1', '1')}, 'teachers.low.labels'),
  ],
)
def test_what_does_not_fit_is_named(changes, says):
  with pytest.raises(UserError, match=says):
    plan.make(_config(**changes))


def test_a_shallower_student_is_refused():
  with pytest.raises(UserError, match='student.widths: 2 blocks'):
    plan.make(
      _config(
        student=ml_collections.ConfigDict(
          {
            **digits.get_config().student.to_dict(),
            'widths': (4, 4),
            'depths': (1, 1),
            'strides': (2, 2),
          }
        )
      )
    )


def test_the_description_lists_all_that_fits_together():
  config = _config()
  text = describe.describe(plan.make(config), config)
  assert 'low (conv) answers 0, 1, 2, 3, 4' in text
  assert 'labels asked for (Y_cst): 0, 1, 2, 3, 4, 5, 6, 7, 8, 9' in text
  assert 'blocks: 3' in text
  assert 'F_g^1 4×4×8 after block 2: high 4×4×8, low 4×4×8' in text
  assert 'F_g^3 16×16×1: the image' in text
  for name in ('compact', 'generator', 'branched, if all branch after block 1'):
    line = next(x for x in text.splitlines() if x.startswith(name))
    assert 'parameters' in line
    assert 'FLOPs per image' in line


def test_a_teacher_without_batch_norm_is_said_to_go_without_prior():
  config = _config(teachers__low__batch_norm=False)
  text = describe.describe(plan.make(config), config)
  assert 'teacher low has no batch norm' in text
  assert 'teacher high has no batch norm' not in text


def test_abstract_teachers_hold_shapes_only():
  design = plan.make(_config())
  net = plan.abstract_teacher(
    'low', '01234', design.teachers['low'], (16, 16, 1)
  )
  leaves = jax.tree.leaves(net.variables)
  assert all(isinstance(x, jax.ShapeDtypeStruct) for x in leaves)
  assert teachers.feature_shapes(net, (16, 16, 1))[0] == (8, 8, 8)
