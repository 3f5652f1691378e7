"""Whole NNX models as teachers, cut into blocks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from dualgan_jax.errors import UserError
from dualgan_jax.teachers import forward, protocol
from dualgan_jax.teachers.teacher import Teacher
from tests.teachers import nets

IMAGE = (8, 9, 3)
CUTS = ('encoder/first', 'encoder/layers/1')


class Encoder(nnx.Module):
  def __init__(self, rngs):
    self.first = nnx.Conv(3, 4, (3, 3), rngs=rngs)
    self.layers = nnx.List(
      [
        nnx.Conv(4, 5, (3, 3), strides=2, rngs=rngs),
        nnx.BatchNorm(5, rngs=rngs),
      ]
    )

  def __call__(self, x):
    x = self.first(x)
    for layer in self.layers:
      x = nnx.relu(layer(x))
    return x


class Net(nnx.Module):
  """As people write them, with dropout and a batch norm."""

  def __init__(self, rngs):
    self.encoder = Encoder(rngs)
    self.dropout = nnx.Dropout(0.5, rngs=rngs)
    self.answer = nnx.Linear(5, 2, rngs=rngs)

  def __call__(self, x):
    return self.answer(self.dropout(self.encoder(x).mean(axis=(1, 2))))


def _teacher(net, cut_after=CUTS, **options):
  return Teacher.from_nnx(
    net,
    labels=('a', 'b'),
    image_shape=IMAGE,
    cut_after=cut_after,
    **options,
  )


def test_a_model_is_a_teacher_and_stays_as_it_is():
  net = Net(nnx.Rngs(0))
  teacher = _teacher(net, name='mine')
  protocol.check_teacher('f', teacher, IMAGE)
  assert teacher.name == 'mine'
  assert forward.feature_shapes(teacher, IMAGE) == [(8, 9, 4), (4, 5, 5)]
  x = np.random.default_rng(0).random((3, *IMAGE), np.float32)
  assert not net.dropout.deterministic
  net.eval()
  np.testing.assert_allclose(
    next(nets.features(teacher, x)), net.encoder.first(x), 1e-4, 1e-5
  )
  np.testing.assert_allclose(nets.answers(teacher, x), net(x), 1e-4, 1e-5)


def test_each_block_has_the_variables_that_it_reads():
  teacher = _teacher(Net(nnx.Rngs(0)))
  names = [
    {
      jax.tree_util.keystr(path, simple=True, separator='/')
      for path, _ in leaves
    }
    for leaves in map(jax.tree_util.tree_leaves_with_path, teacher.variables)
  ]
  assert names == [
    {'params/encoder/first/bias', 'params/encoder/first/kernel'},
    {
      'params/encoder/layers/0/bias',
      'params/encoder/layers/0/kernel',
      'params/encoder/layers/1/bias',
      'params/encoder/layers/1/scale',
      'batch_stats/encoder/layers/1/mean',
      'batch_stats/encoder/layers/1/var',
    },
    {'params/answer/bias', 'params/answer/kernel'},
  ]


def test_its_batch_norms_are_seen():
  net = Net(nnx.Rngs(0))
  norm = net.encoder.layers[1]
  norm.mean[...] = jnp.arange(5.0)
  norm.var[...] = jnp.arange(1.0, 6.0)
  teacher = _teacher(net)
  protocol.check_teacher('f', teacher, IMAGE)
  images = np.random.default_rng(0).random((3, *IMAGE), np.float32)
  (moments,) = jax.jit(
    lambda teacher, images: forward.ladder(teacher, images, {}).moments
  )(teacher, images)
  inputs = nnx.relu(net.encoder.layers[0](net.encoder.first(images)))
  np.testing.assert_allclose(
    moments.mean, inputs.mean((0, 1, 2)), rtol=1e-4, atol=1e-5
  )
  np.testing.assert_array_equal(moments.running_mean, np.arange(5))
  np.testing.assert_array_equal(moments.running_variance, np.arange(1, 6))


@pytest.mark.parametrize(
  ('cut_after', 'raised'),
  [
    (('encoder/first', 'layers'), "cut_after: 'layers' is no submodule in a c"),
    (('encoder/first',), 'cut_after: .*, but a teacher has at least two bl'),
  ],
)
def test_what_cannot_be_cut_is_named(cut_after, raised):
  with pytest.raises(UserError, match=f'^{raised}'):
    _teacher(Net(nnx.Rngs(0)), cut_after)


def test_a_module_of_linen_is_named():
  with pytest.raises(
    UserError, match='^module: a Foreign, but it should be an'
  ):
    _teacher(nets.Foreign())
