"""Keeps a net as a program that JAX runs without the net's code: StableHLO.

A program computes; it is not to do anything else. Custom calls, by which a
program calls native code of the process that runs it, and exchange with other
devices and the host are refused, both where a program is made and where one is
read. JAX's readers of programs are made for trusted bytes all the same: damage
can crash them. Whoever reads a program from a file compares its sum first.
"""

import math
import re
from collections.abc import Callable
from typing import Any

import jax
from jax import export

from dualgan_jax.display import printable
from dualgan_jax.errors import UserError, first_line

PLATFORMS = ('cpu', 'cuda', 'tpu')  # that programs are made for
# Programs take this number of images: code of others need not be polymorphic.
BATCH = 64
_MOST_BYTES = 2**28
# Of an array that is computed on the way: 4 GB of float32.
_MOST_ELEMENTS = 2**30
# Operations of StableHLO that do more than compute.
_FORBIDDEN = re.compile(
  r'\bstablehlo\.(custom_call|infeed|outfeed|send|recv|all_\w+|collective_\w+'
  r'|reduce_scatter|cross-replica-sum)\b'
)
_SHAPE = re.compile(r'\btensor<((?:\d+x)+)')


def write(apply: Callable[..., Any], *arguments: Any) -> bytes:
  """Exports a function for all of `PLATFORMS`.

  Args:
    apply: a pure function.
    *arguments: trees of arrays or of `jax.ShapeDtypeStruct`.

  Raises:
    UserError: JAX cannot export it, or it does more than compute; the message
      is the end of a sentence.
  """
  exported = export.export(jax.jit(apply), platforms=PLATFORMS)
  try:
    program = exported(*arguments)
  except Exception as e:  # whatever code of others may raise
    raise UserError(
      f'{type(e).__name__}: {printable(first_line(e), 200)}'
    ) from e
  fault = _fault(program)
  if fault:
    raise UserError(fault)
  return bytes(program.serialize())


def read(
  content: bytes, arguments: Any, result: jax.ShapeDtypeStruct
) -> Callable[..., Any]:
  """Reads a program.

  Args:
    content: of `write`.
    arguments: what it is going to be called with, arrays or of the shape.
    result: what it is to give.

  Returns:
    The function, of these arguments.

  Raises:
    UserError: it is damaged, too large, takes other arguments, or does more
      than compute; the message is the end of a sentence.
  """
  if len(content) > _MOST_BYTES:
    raise UserError(f'has {len(content):,} bytes, {_MOST_BYTES:,} are the most')
  try:
    program = export.deserialize(bytearray(content))
    fault = _fault(program)
    taken = jax.tree.unflatten(program.in_tree, program.in_avals)
    given = jax.tree.unflatten(program.out_tree, program.out_avals)
  # The readers were made for no such bytes, and raise of all kinds.
  except Exception as e:
    raise UserError(
      f'cannot be read ({type(e).__name__}: {printable(first_line(e), 200)})'
    ) from e
  if fault:
    raise UserError(fault)
  if _described((taken, given)) != _described(((arguments, {}), result)):
    raise UserError('is not of these weights, images and labels')
  return program.call


def _described(arrays: Any) -> Any:
  return jax.tree.map(lambda x: (x.shape, x.dtype), arrays)


def _fault(program: export.Exported) -> str | None:
  """What a program may not have, as the end of a sentence."""
  # Strings in it could look like an operation, but none can hide one.
  text = program.mlir_module()
  forbidden = _FORBIDDEN.search(text)
  if forbidden:
    return f'does more than compute: it holds {forbidden[0]}'
  for shape in set(_SHAPE.findall(text)):
    sizes = [int(x) for x in shape.split('x')[:-1]]
    if math.prod(sizes) > _MOST_ELEMENTS:
      return f'computes an array of {printable(shape[:-1], 100)} numbers'
  return None
