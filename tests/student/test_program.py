"""Programs only compute, and are read only if they do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from dualgan_jax.errors import UserError
from dualgan_jax.student import program

_ARRAY = jax.ShapeDtypeStruct((64, 4), np.float32)


def _call_into_lapack(x):
  return jnp.linalg.svd(x, full_matrices=False)[1][None] + x


def _exported(function):
  """A program that JAX wrote, without the checks of `program.write`."""
  platforms = program.PLATFORMS
  exported = export.export(jax.jit(function), platforms=platforms)(_ARRAY)
  return bytes(exported.serialize())


def _compute_what_nets_compute(x):
  x = jax.nn.gelu(x, approximate=False) + jax.nn.softmax(x)
  x = x + jnp.sort(x) + jax.lax.top_k(x, 4)[0] + jax.lax.erf_inv(x)
  x = x + jax.image.resize(x, (64, 8), 'bilinear')[:, :4]
  x = x + jnp.cumsum(x, axis=1)
  x = jax.lax.scan(lambda carry, _: (carry / 2, None), x, None, length=3)[0]
  return x + jax.random.uniform(jax.random.key(0), x.shape)


def test_a_program_computes_what_its_function_does():
  program_bytes = program.write(_compute_what_nets_compute, _ARRAY)
  function = program.read(program_bytes, (_ARRAY,), _ARRAY)
  x = np.linspace(-0.9, 0.9, 256, dtype=np.float32).reshape(64, 4)
  np.testing.assert_allclose(
    jax.jit(function)(x), jax.jit(_compute_what_nets_compute)(x), 1e-5, 1e-5
  )


def test_a_custom_call_is_refused_when_it_is_written():
  with pytest.raises(UserError, match='holds stablehlo.custom_call'):
    program.write(_call_into_lapack, _ARRAY)


def test_a_custom_call_is_refused_when_it_is_read():
  program_bytes = _exported(_call_into_lapack)
  with pytest.raises(
    UserError, match='more than compute: it holds stablehlo.c'
  ):
    program.read(program_bytes, (_ARRAY,), _ARRAY)


def test_an_array_that_no_memory_holds_is_refused():
  def compute(x):
    return x + jnp.broadcast_to(x[0, 0], (2**16, 2**16)).sum()

  with pytest.raises(UserError, match='an array of 65536x65536 numbers'):
    program.read(_exported(compute), (_ARRAY,), _ARRAY)


@pytest.mark.parametrize(
  ('arguments', 'result'),
  [
    ((jax.ShapeDtypeStruct((64, 5), np.float32),), _ARRAY),
    ((jax.ShapeDtypeStruct((64, 4), np.int32),), _ARRAY),
    (({'x': _ARRAY},), _ARRAY),
    ((_ARRAY, _ARRAY), _ARRAY),
    ((_ARRAY,), jax.ShapeDtypeStruct((64, 5), np.float32)),
    ((_ARRAY,), (_ARRAY, _ARRAY)),
  ],
)
def test_a_program_of_other_arrays_is_refused(arguments, result):
  program_bytes = program.write(lambda x: x * 2, _ARRAY)
  with pytest.raises(UserError, match='is not of these weights'):
    program.read(program_bytes, arguments, result)


@pytest.mark.parametrize('program_bytes', [b'', b'\0' * 100, b'\xff' * 100])
def test_bytes_that_are_no_program_are_refused(program_bytes):
  with pytest.raises(UserError, match='cannot be read'):
    program.read(program_bytes, (_ARRAY,), _ARRAY)


def test_a_program_that_is_too_large_is_not_read():
  program_bytes = bytes(2**28 + 1)
  with pytest.raises(UserError, match='268,435,456 are the most'):
    program.read(program_bytes, (_ARRAY,), _ARRAY)
