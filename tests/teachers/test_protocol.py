"""What one sentence says of a teacher that does not keep to the protocol."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax.errors import UserError
from dualgan_jax.teachers import protocol
from dualgan_jax.teachers.teacher import Teacher, single_label

IMAGE = (32, 32, 3)


def _teacher():
  return Teacher(
    'mine',
    ('a', 'b', 'c'),
    (lambda variables, x: x, lambda variables, x: x),
    lambda variables, x: x.mean(axis=(1, 2)),
    ({}, {}, {}),
  )


def _callback(variables, x):
  del variables
  form = jax.ShapeDtypeStruct((len(x), 3), np.float32)
  return jax.pure_callback(lambda x: np.asarray(x).mean((1, 2)), form, x)


def _batch_norm(variables, x):
  del variables
  return x - x.mean(axis=0, keepdims=True)


@pytest.mark.parametrize(
  ('changes', 'raised'),
  [
    ({'variables': ()}, '2 blocks and 0 variables'),
    ({'variables': ({}, np.ones(2), {})}, 'some .* are of type ndarray; give'),
    ({'variables': ({}, {}, {'w': 1})}, "some .* are a dict of 'w'; give"),
    (
      {'variables': ({'params': {}, 'cache': {}}, {}, {})},
      "some .* are a dict of 'params', 'cache'; give",
    ),
    (
      {'variables': ({'params': {}, 'batch_stats': np.ones(2)}, {}, {})},
      "some of its 'batch_stats' are of type ndarray; make",
    ),
    (
      {'variables': ({'params': {}, 'batch_stats': {}}, {}, {})},
      "some of its 'batch_stats' are a dict of nothing; make",
    ),
    (
      {'variables': ({'params': {'n': np.arange(2)}}, {}, {})},
      r"'params'\['n'\] is of type int\d+, which no gradient moves; put it",
    ),
    ({'blocks': (), 'variables': (1,)}, '0 blocks and 1 variables'),
    ({'labels': ('a', 'b')}, r'gives \(2, 3\) for 2 images and 2 labels'),
    (
      {'blocks': (lambda variables, x: x, lambda variables, x: x[:, :, 40:])},
      'logits are not finite',
    ),
    (
      {'blocks': (lambda variables, x: x @ x, lambda variables, x: x)},
      r'its block 1 cannot take 32×32×3 \(TypeError',
    ),
    (
      {
        'blocks': (lambda variables, x: x, lambda variables, x: x[:, ::2]),
        'head': lambda variables, x: x @ x,
      },
      r'its head cannot take 16×32×3 \(TypeError',
    ),
    (
      {'head': lambda variables, x: jax.nn.softmax(x.mean(axis=(1, 2)))},
      'its head gives probabilities; let',
    ),
    (
      {
        'head': lambda variables, x: jax.nn.log_softmax(9 * x.mean(axis=(1, 2)))
      },
      'its head gives log-probabilities of one label; let',
    ),
    (
      {'blocks': (lambda variables, x: x.mean((1, 2)), lambda variables, x: x)},
      r'its block 1 gives features of shape \(2, 3\); between',
    ),
    (
      {
        'blocks': (
          lambda variables, x: jnp.round(255 * x),
          lambda variables, x: x,
        )
      },
      'its answers have no gradient to the image, or',
    ),
    (
      {
        'blocks': (
          lambda variables, x: x + jnp.sqrt(x - x),
          lambda variables, x: x,
        )
      },
      'its answers have no gradient to the image, or none that is finite',
    ),
    (
      {'blocks': (lambda variables, x: (x, {}), lambda variables, x: x)},
      'its block 1 gives a tuple; let it return one array',
    ),
    (
      {'blocks': (lambda variables, x: x, lambda variables, x: {'x': x})},
      'its block 2 gives a dict; let it return one array',
    ),
    (
      {'head': lambda variables, x: (x.mean(axis=(1, 2)), x)},
      'its head gives a tuple; let it return one array',
    ),
    ({'head': _callback}, r'has no gradient \(ValueError: Pure callbacks'),
    ({'blocks': (_batch_norm, lambda variables, x: x)}, 'beside another image'),
    ({'single_label': True}, r'probabilities add up to 1\.[78]\d'),
  ],
)
def test_a_teacher_that_breaks_the_protocol_is_named(changes, raised):
  teacher = _teacher()
  protocol.check_teacher('teachers.mine.module', teacher, IMAGE)
  with pytest.raises(UserError, match=f'^teachers.mine.module: .*{raised}'):
    protocol.check_teacher(
      'teachers.mine.module', teacher.replace(**changes), IMAGE
    )


class _Rematerialized(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.remat(nn.BatchNorm)(use_running_average=True)(x)


def test_a_batch_norm_that_cannot_be_looked_into_is_named():
  block = _Rematerialized()
  variables = block.init(jax.random.PRNGKey(0), np.zeros((1, *IMAGE)))
  teacher = _teacher().replace(
    blocks=(block.apply, lambda variables, x: x), variables=(variables, {}, {})
  )
  with pytest.raises(
    UserError, match='^f: a batch norm in it lies in what nn.r'
  ):
    protocol.check_teacher('f', teacher, IMAGE)


def _softmax_head(variables, x):
  return jax.nn.softmax(9 * x.mean(axis=(1, 2)))


def _sigmoid_head(variables, x):
  return jax.nn.sigmoid(x.mean(axis=(1, 2)))


def test_probabilities_are_seen_behind_single_label():
  twice = single_label(_teacher().replace(head=_softmax_head))
  with pytest.raises(UserError, match='^f: its head gives probabilities; let'):
    protocol.check_teacher('f', twice, IMAGE)


def test_a_softmax_over_one_label_is_refused():
  one = _teacher().replace(
    labels=('a',), head=lambda variables, x: x.mean((1, 2))[:, :1]
  )
  protocol.check_teacher('f', one, IMAGE)
  with pytest.raises(UserError, match='^f: single_label, but it has one label'):
    protocol.check_teacher('f', single_label(one), IMAGE)


@pytest.mark.parametrize('wrap', [lambda x: x, single_label])
def test_what_may_be_probabilities_is_said(wrap, capsys):
  protocol.check_teacher(
    'f', wrap(_teacher().replace(head=_sigmoid_head)), IMAGE
  )
  printed = capsys.readouterr().err
  assert 'f: its answers to two images all lie between 0 and 1; if' in printed
  logits = _teacher().replace(head=lambda variables, x: 9 * x.mean(axis=(1, 2)))
  protocol.check_teacher('f', wrap(logits), IMAGE)
  assert not capsys.readouterr().err
