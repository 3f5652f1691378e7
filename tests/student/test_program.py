"""Programs only compute, and are read only if they do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from dualgan_jax.errors import UserError
from dualgan_jax.student import program

_X = jax.ShapeDtypeStruct((64, 4), np.float32)


def _call_into_lapack(x):
  return jnp.linalg.svd(x, full_matrices=False)[1][None] + x


def _exported(function):
  """A program as `export` alone writes it, who checks nothing of ours."""
  platforms = program.PLATFORMS
  content = export.export(jax.jit(function), platforms=platforms)(_X)
  return bytes(content.serialize())


def _all_that_nets_compute(x):
  x = jax.nn.gelu(x, approximate=False) + jax.nn.softmax(x)
  x = x + jnp.sort(x) + jax.lax.top_k(x, 4)[0] + jax.lax.erf_inv(x)
  x = x + jax.image.resize(x, (64, 8), 'bilinear')[:, :4]
  x = x + jnp.cumsum(x, axis=1)
  x = jax.lax.scan(lambda c, _: (c / 2, None), x, None, length=3)[0]
  return x + jax.random.uniform(jax.random.key(0), x.shape)


def test_a_program_computes_what_its_function_does():
  content = program.write(_all_that_nets_compute, _X)
  found = program.read(content, (_X,), _X)
  x = np.linspace(-0.9, 0.9, 256, dtype=np.float32).reshape(64, 4)
  np.testing.assert_allclose(
    jax.jit(found)(x), jax.jit(_all_that_nets_compute)(x), 1e-5, 1e-5
  )


def test_a_custom_call_is_refused_when_it_is_written():
  with pytest.raises(UserError, match='holds stablehlo.custom_call'):
    program.write(_call_into_lapack, _X)


def test_a_custom_call_is_refused_when_it_is_read():
  content = _exported(_call_into_lapack)
  with pytest.raises(
    UserError, match='more than compute: it holds stablehlo.c'
  ):
    program.read(content, (_X,), _X)


def test_an_array_that_no_memory_holds_is_refused():
  def compute(x):
    return x + jnp.broadcast_to(x[0, 0], (2**16, 2**16)).sum()

  with pytest.raises(UserError, match='an array of 65536x65536 numbers'):
    program.read(_exported(compute), (_X,), _X)


@pytest.mark.parametrize(
  ('arguments', 'result'),
  [
    ((jax.ShapeDtypeStruct((64, 5), np.float32),), _X),
    ((jax.ShapeDtypeStruct((64, 4), np.int32),), _X),
    (({'x': _X},), _X),
    ((_X, _X), _X),
    ((_X,), jax.ShapeDtypeStruct((64, 5), np.float32)),
    ((_X,), (_X, _X)),
  ],
)
def test_a_program_of_other_arrays_is_refused(arguments, result):
  content = program.write(lambda x: x * 2, _X)
  with pytest.raises(UserError, match='is not of these weights'):
    program.read(content, arguments, result)


@pytest.mark.parametrize('content', [b'', b'\0' * 100, b'\xff' * 100])
def test_bytes_that_are_no_program_are_refused(content):
  with pytest.raises(UserError, match='cannot be read'):
    program.read(content, (_X,), _X)


def test_a_program_that_is_too_large_is_not_read():
  content = bytes(2**28 + 1)
  with pytest.raises(UserError, match='268,435,456 are the most'):
    program.read(content, (_X,), _X)
