"""Builds PyTorch's layers from Flax parameters, for `experiments.peer`.

Kernels of Flax are [h, w, in, out] and [in, out]; features are [n, h, w, c]
there, and [n, c, h, w] here.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn


def _tensor(array):
  return torch.from_numpy(np.array(array, np.float32))


def build_conv(params: Mapping[str, Any], stride: int = 1) -> nn.Conv2d:
  """Builds a convolution; at stride 2 its input has to be padded before."""
  kernel = _tensor(params['kernel']).permute(3, 2, 0, 1)
  conv = nn.Conv2d(
    kernel.shape[1],
    kernel.shape[0],
    kernel.shape[2:],
    stride,
    padding=0 if stride == 2 else kernel.shape[2] // 2,
    bias='bias' in params,
  )
  _set_parameters(conv, kernel, params.get('bias'))
  return conv


def build_dense(params: Mapping[str, Any]) -> nn.Linear:
  """Builds a linear layer, with a bias if `params` has one."""
  kernel = _tensor(params['kernel'])
  dense = nn.Linear(*kernel.shape, bias='bias' in params)
  _set_parameters(dense, kernel.T, params.get('bias'))
  return dense


def build_dense_to_features(
  params: Mapping[str, Any], size: tuple[int, int]
) -> nn.Linear:
  """Builds a linear layer whose outputs are ordered [c, h, w], not [h, w, c].

  Args:
    params: parameters of Flax's layer, which has no bias.
    size: (h, w).
  """
  kernel = np.asarray(params['kernel'])
  kernel_parts = kernel.reshape(len(kernel), *size, -1).transpose(0, 3, 1, 2)
  return build_dense({'kernel': kernel_parts.reshape(len(kernel), -1)})


def build_dense_from_features(
  params: Mapping[str, Any], size: tuple[int, int]
) -> nn.Linear:
  """Builds a linear layer whose inputs are ordered [c, h, w], not [h, w, c].

  Args:
    params: parameters of Flax's layer.
    size: (h, w).
  """
  kernel = np.asarray(params['kernel'])
  num_outputs = kernel.shape[-1]
  kernel_parts = kernel.reshape(*size, -1, num_outputs).transpose(2, 0, 1, 3)
  return build_dense(
    {'kernel': kernel_parts.reshape(-1, num_outputs), 'bias': params['bias']}
  )


def build_norm(
  params: Mapping[str, Any], stats: Mapping[str, Any] | None = None
) -> nn.BatchNorm2d:
  """Builds a batch norm, with running statistics if there are any."""
  norm = nn.BatchNorm2d(len(params['scale']))
  _set_parameters(norm, _tensor(params['scale']), params['bias'])
  if stats:
    norm.running_mean.copy_(_tensor(stats['mean']))
    norm.running_var.copy_(_tensor(stats['var']))
  return norm


def _set_parameters(module, weight, bias):
  with torch.no_grad():
    module.weight.copy_(weight)
    if bias is not None:
      module.bias.copy_(_tensor(bias))
