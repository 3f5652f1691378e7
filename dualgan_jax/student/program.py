"""Stores a net as a program that JAX runs without the net's code: StableHLO.

A program computes, and must not do anything else. Custom calls, by which a
program calls native code of the process that runs it, and exchange with other
devices and the host are refused, both where a program is made and where one is
read. Even so, JAX's readers of programs are made for trusted bytes: damage can
crash them. Compare the digest of a program from a file before you read it.
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
# Programs take this number of images: a teacher's code may demand a fixed one.
BATCH = 64
_MAX_BYTES = 2**28
# Of an intermediate array: 4 GB of float32.
_MAX_ELEMENTS = 2**30
# Operations of StableHLO that do more than compute.
_FORBIDDEN_OPERATION = re.compile(
  r'\bstablehlo\.(custom_call|infeed|outfeed|send|recv|all_\w+|collective_\w+'
  r'|reduce_scatter|cross-replica-sum)\b'
)
_TENSOR_SHAPE = re.compile(r'\btensor<((?:\d+x)+)')


def write(apply: Callable[..., Any], *arguments: Any) -> bytes:
  """Exports a function for all of `PLATFORMS`.

  Args:
    apply: a pure function.
    *arguments: trees of arrays or of `jax.ShapeDtypeStruct`.

  Returns:
    The program, for `read`.

  Raises:
    UserError: JAX cannot export it, or it does more than compute; the message
      is the end of a sentence.
  """
  export_program = export.export(jax.jit(apply), platforms=PLATFORMS)
  try:
    program = export_program(*arguments)
  except Exception as error:  # a teacher's code may raise any
    raise UserError(
      f'{type(error).__name__}: {printable(first_line(error), 200)}'
    ) from error
  fault = _program_fault(program)
  if fault:
    raise UserError(fault)
  return bytes(program.serialize())


def read(
  program_bytes: bytes, arguments: Any, result: jax.ShapeDtypeStruct
) -> Callable[..., Any]:
  """Reads a program.

  Args:
    program_bytes: bytes that `write` returned.
    arguments: trees of arrays or of `jax.ShapeDtypeStruct`, of the shapes that
      the program is going to be called with.
    result: shape and type that it must return.

  Returns:
    The function, of these arguments.

  Raises:
    UserError: it is damaged, too large, takes other arguments, or does more
      than compute; the message is the end of a sentence.
  """
  if len(program_bytes) > _MAX_BYTES:
    raise UserError(
      f'has {len(program_bytes):,} bytes, {_MAX_BYTES:,} are the most'
    )
  try:
    program = export.deserialize(bytearray(program_bytes))
    fault = _program_fault(program)
    input_arrays = jax.tree.unflatten(program.in_tree, program.in_avals)
    output_arrays = jax.tree.unflatten(program.out_tree, program.out_avals)
  # JAX's readers expect no damaged bytes, and raise errors of all types.
  except Exception as error:
    raise UserError(
      f'cannot be read ({type(error).__name__}: '
      f'{printable(first_line(error), 200)})'
    ) from error
  if fault:
    raise UserError(fault)
  # The empty dictionary holds arguments by keyword, of which there are none.
  actual_shapes = _shapes_and_types((input_arrays, output_arrays))
  expected_shapes = _shapes_and_types(((arguments, {}), result))
  if actual_shapes != expected_shapes:
    raise UserError('is not of these weights, images and labels')
  return program.call


def _shapes_and_types(arrays: Any) -> Any:
  """Replaces each array of a tree by its shape and type."""
  return jax.tree.map(lambda array: (array.shape, array.dtype), arrays)


def _program_fault(program: export.Exported) -> str | None:
  """Checks that a program only computes, with arrays that fit into memory.

  Returns:
    The fault, as the end of a sentence, or None.
  """
  # A string in the text may look like an operation, but none can hide one.
  module_text = program.mlir_module()
  forbidden_match = _FORBIDDEN_OPERATION.search(module_text)
  if forbidden_match:
    return f'does more than compute: it holds {forbidden_match[0]}'
  # A shape stands as `2x3x`, before the type of its numbers.
  for shape_text in set(_TENSOR_SHAPE.findall(module_text)):
    shape = [int(size) for size in shape_text.split('x')[:-1]]
    if math.prod(shape) > _MAX_ELEMENTS:
      return f'computes an array of {printable(shape_text[:-1], 100)} numbers'
  return None
