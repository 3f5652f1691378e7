"""Whole Linen models as teachers, cut into blocks."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from dualgan_jax.errors import UserError
from dualgan_jax.teachers import forward, protocol
from dualgan_jax.teachers.preparation import Preparation
from dualgan_jax.teachers.teacher import Teacher
from tests.teachers import nets

IMAGE = (8, 9, 3)
CUTS = ('Conv_1', 'BatchNorm_3')


class Compact(nn.Module):
  """As people write them: four convolutions, each with a batch norm."""

  @nn.compact
  def __call__(self, x, train=True):
    for width in (3, 4, 5, 6):
      x = nn.Conv(width, (3, 3), strides=2 if width == 5 else 1)(x)
      x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
    return nn.Dense(2)(nn.Dropout(0.5, deterministic=not train)(x.mean((1, 2))))


class Encoder(nn.Module):
  """Submodules of a submodule, and parameters that its setup asks for."""

  def setup(self):
    self.scale = self.param('scale', nn.initializers.constant(2.0), ())
    self.first = nn.Conv(3, (3, 3))
    self.layers = [nn.Conv(4, (3, 3), strides=2), nn.Conv(5, (3, 3))]

  def __call__(self, x):
    x = self.scale * self.first(x)
    for layer in self.layers:
      x = nn.relu(layer(x))
    return x


class WithSetup(nn.Module):
  """A head in another method, and a module that is never called."""

  def setup(self):
    self.encoder = Encoder()
    self.middle = Encoder()
    self.answer = nn.Dense(2)
    self.unused = nn.Dense(2)

  def __call__(self, images, *, deterministic):
    assert deterministic
    return self.classify(self.middle(self.encoder(images)))

  def classify(self, x):
    return self.answer(x.mean(axis=(1, 2)))


class Residual(nn.Module):
  """A connection that leads around all but the first convolution."""

  @nn.compact
  def __call__(self, x):
    x = nn.Conv(4, (3, 3), name='stem')(x)
    y = nn.relu(nn.Conv(4, (3, 3), name='inner')(x))
    x = nn.relu(x + nn.Conv(4, (3, 3), name='outer')(y))
    shared = nn.Dense(4, name='shared')
    return nn.Dense(2, name='answer')(shared(shared(x)).mean(axis=(1, 2)))


class Rematerialized(nn.Module):
  @nn.compact
  def __call__(self, x):
    for name in ('first', 'second'):
      x = nn.remat(nn.Conv)(4, (3, 3), name=name)(x)
    return nn.Dense(2)(x.mean(axis=(1, 2)))


def _variables(module, **arguments):
  """Variables whose running averages are not 0 and 1, and units that fire."""
  made = jax.jit(
    lambda key: module.init(key, np.zeros((1, *IMAGE)), **arguments)
  )
  variables = made(jax.random.PRNGKey(1))
  if 'batch_stats' in variables:
    stats = jax.tree.map(lambda x: x - 0.4, variables['batch_stats'])
    variables = {**variables, 'batch_stats': stats}
  return variables


def _teacher(module, variables, cut_after=CUTS, **options):
  return Teacher.from_flax(
    module,
    variables,
    labels=('a', 'b'),
    image_shape=IMAGE,
    cut_after=cut_after,
    **options,
  )


def _images(rows=3):
  return np.random.default_rng(0).random((rows, *IMAGE), np.float32)


def test_a_compact_model_is_a_teacher():
  module, x = Compact(), _images()
  variables = _variables(module, train=False)
  teacher = _teacher(module, variables, name='mine')
  protocol.check_teacher('f', teacher, IMAGE)
  assert teacher.name == 'mine'
  assert teacher.image_shape == IMAGE
  assert forward.feature_shapes(teacher, IMAGE) == [(8, 9, 4), (4, 5, 6)]
  first, second = nets.features(teacher, x)
  # What Linen itself caught of the cuts' outputs.
  _, caught = module.apply(
    variables,
    x,
    train=False,
    capture_intermediates=True,
    mutable=['intermediates'],
  )
  for name, actual in zip(CUTS, (first, second), strict=True):
    (expected,) = caught['intermediates'][name]['__call__']
    np.testing.assert_allclose(actual, expected, 1e-4, 1e-5)
  np.testing.assert_allclose(
    nets.answers(teacher, x),
    module.apply(variables, x, train=False),
    1e-4,
    1e-5,
  )


def test_each_block_has_the_variables_that_it_reads():
  module = Compact()
  teacher = _teacher(module, _variables(module, train=False))
  actual = [
    (set(x['params']), set(x.get('batch_stats', ()))) for x in teacher.variables
  ]
  assert actual == [
    ({'Conv_0', 'BatchNorm_0', 'Conv_1'}, {'BatchNorm_0'}),
    (
      {'BatchNorm_1', 'Conv_2', 'BatchNorm_2', 'Conv_3', 'BatchNorm_3'},
      {'BatchNorm_1', 'BatchNorm_2', 'BatchNorm_3'},
    ),
    ({'Dense_0'}, set()),
  ]


def test_batch_norms_are_seen_once_and_by_the_images_features():
  module, x = Compact(), _images()
  variables = _variables(module, train=False)
  teacher = _teacher(module, variables)
  expected = forward.record_moments(
    lambda leaf, x: module.apply(leaf, x, train=False),
    variables,
    x,
    num_images=3,
  )[1]
  actual = jax.jit(lambda x: forward.ladder(teacher, x, {}).moments)(x)
  assert len(actual) == 4
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, 1e-4, 1e-5), actual, expected
  )


def test_nested_submodules_of_a_setup_can_be_cut_after():
  module = WithSetup()
  variables = _variables(module, deterministic=True)
  teacher = _teacher(
    module, variables, ('middle/first', 'encoder/layers_0'), single_label=True
  )
  assert teacher.single_label
  protocol.check_teacher('f', teacher, IMAGE)
  inside = [
    {name: set(leaf) for name, leaf in part['params'].items()}
    for part in teacher.variables
  ]
  assert inside == [
    {'encoder': {'scale', 'first', 'layers_0'}},
    {'encoder': {'layers_1', 'scale'}, 'middle': {'first', 'scale'}},
    {'middle': {'scale', 'layers_0', 'layers_1'}, 'answer': {'bias', 'kernel'}},
  ]


def test_images_are_prepared():
  module, x = Compact(), _images()
  variables = _variables(module, train=False)
  preparation = Preparation((6, 6, 3), mean=(0.5,), std=(0.2,))
  teacher = _teacher(module, variables, preparation=preparation)
  np.testing.assert_allclose(
    nets.answers(teacher, x),
    module.apply(variables, preparation(x), train=False),
    1e-4,
    1e-5,
  )


@pytest.mark.parametrize(
  ('module', 'cut_after', 'raised'),
  [
    (Residual(), ('stem', 'inner'), "what follows 'inner' needs more than its"),
    (
      Residual(),
      ('stem', 'no'),
      "'no' is no .* name others of stem, inner, ou",
    ),
    (Residual(), ('stem', 'shared'), "'shared' is called several times in a c"),
    (Residual(), ('stem',), "'stem',.*, but a teacher has at least two blocks"),
    (Residual(), 'stem', "'stem', but a teacher has at least two blocks; name"),
    (Rematerialized(), ('first', 'second'), 'lies in what nn.remat, nn.scan'),
  ],
)
def test_what_cannot_be_cut_is_named(module, cut_after, raised):
  with pytest.raises(UserError, match=f'^cut_after: .*{raised}'):
    _teacher(module, _variables(module), cut_after)


def test_a_model_is_cut_between_its_connections():
  module = Residual()
  teacher = _teacher(module, _variables(module), ('stem', 'answer'))
  assert len(teacher.blocks) == 2


def test_variables_of_other_collections_are_named():
  module = Residual()
  with pytest.raises(UserError, match=r"^variables: these are 'answer', 'inn"):
    _teacher(module, _variables(module)['params'], ('stem', 'outer'))


def test_a_model_that_fails_is_one_sentence():
  module = Residual()
  variables = _variables(module)
  del variables['params']['stem']
  with pytest.raises(UserError, match='model cannot answer images of 8×9×3 .S'):
    _teacher(module, variables, ('stem', 'outer'))


def test_a_call_takes_other_arguments():
  module = WithSetup()
  with pytest.raises(UserError, match='cannot answer images .*AssertionError'):
    _teacher(
      module,
      _variables(module, deterministic=True),
      ('encoder', 'middle'),
      deterministic=False,
    )


def test_two_labels_of_a_wrong_number_are_found_by_the_usual_check():
  module = Compact()
  teacher = _teacher(module, _variables(module, train=False))
  with pytest.raises(UserError, match='for 2 images and 1 labels'):
    protocol.check_teacher('f', teacher.replace(labels=('a',)), IMAGE)
