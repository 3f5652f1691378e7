"""A part of an exported net, as the function of a teacher's block."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import chex
import jax.numpy as jnp
from flax import traverse_util

from dualgan_jax.teachers.torch_export import program
from dualgan_jax.teachers.torch_export.graph import Length
from dualgan_jax.teachers.torch_export.layouts import Layout
from dualgan_jax.teachers.torch_export.program import Step

PARAMS, FIXED = 'params', 'batch_stats'


@dataclasses.dataclass(frozen=True, eq=False)
class GraphBlock:
  """The steps between two places of a graph.

  Attributes:
    steps: in their order, with all that they need.
    shapes: of the tensors whose sizes are read.
    tensor_names: by name in the graph, the tensors' names in PyTorch.
    source: name of the features, or images, that it takes.
    result: name of the features, or logits, that it gives.
    source_layout: order of the source's axes; None if it is no image.
    result_layout: of the result's.
    dtype: type to compute in; None for that of the features.
  """

  steps: tuple[Step, ...]
  shapes: Mapping[str, tuple[Length, ...]]
  tensor_names: Mapping[str, str]
  source: str
  result: str
  source_layout: Layout | None
  result_layout: Layout | None
  dtype: jnp.dtype | None = None

  def __call__(self, variables: Any, features: chex.Array) -> chex.Array:
    """Maps features [N, h, w, c], or of any shape, to features or logits."""
    params, fixed = (
      traverse_util.flatten_dict(variables.get(collection, {}), sep='.')
      for collection in (PARAMS, FIXED)
    )
    if self.dtype is not None:
      features = features.astype(self.dtype)
      params = {
        name: param.astype(self.dtype) for name, param in params.items()
      }
    tensors = {**fixed, **params}
    # PyTorch's channels are first, ours are last.
    if self.source_layout is Layout.CHANNELS_FIRST:
      features = features.transpose(Layout.CHANNELS_FIRST.value)
    values = {self.source: features}
    for name, tensor_name in self.tensor_names.items():
      values[name] = tensors[tensor_name]
    for step in self.steps:
      program.run_step(step, values, self.shapes, len(features))
    result = values[self.result]
    if self.result_layout is Layout.CHANNELS_FIRST:
      result = result.transpose(Layout.CHANNELS_LAST.value)
    return result
