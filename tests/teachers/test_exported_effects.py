"""Nets that change tensors in place give PyTorch's logits, or are refused."""

import numpy as np
import pytest

from dualgan_jax.errors import UserError
from dualgan_jax.teachers.torch_export import exported_net
from tests import torch_exports

pytestmark = pytest.mark.torch


def _read(tmp_path, forward):
  """Exports a small net whose logits a function changes in place."""
  import torch
  from torch import nn

  class Net(nn.Module):
    def __init__(self):
      super().__init__()
      self.conv = nn.Conv2d(3, 4, 3)
      self.fc = nn.Linear(4, 5)
      self.register_buffer('scale', torch.ones(5))

    def forward(self, x):
      return forward(self, self.conv(x))

  torch.manual_seed(0)
  path = torch_exports.save(Net(), torch.rand(2, 3, 8, 8), tmp_path / 'net.pt2')
  return exported_net.read(path)


def _difference(net):
  """Computes how far logits are from PyTorch's."""
  (function,), (part,) = net.cut([])
  images, logits = net.example
  return np.abs(function(part, images) - logits).max()


def _assign_slice(net, x):
  y = x.new_zeros(x.shape)
  y[:, :, 1:] = x[:, :, :-1]
  y[:, 0] = 0.5
  y[:, 1, ::2] *= 2
  return net.fc(y.amax((2, 3)))


def _assign_new_tensor(net, x):
  y = x.new_zeros(x.shape[0], 4, 8, 8)
  y[..., 1:-1, 1:-1] = x
  y[:, :2].relu_()
  return net.fc(y.mean((2, 3)))


def _assign_indices(net, x):
  y = x.clone()
  y[:, [2, 0]] = x[:, [0, 1]]
  y[:, [3, 1]] += 1
  return net.fc(y.mean((2, 3)))


def _shift(net, x):
  """Shifts channels as TSM, ShiftNet and their kind do."""
  y = x.new_empty(x.shape)
  y[:, 0, :, 1:], y[:, 0, :, :1] = x[:, 0, :, :-1], x[:, 0, :, :1]
  y[:, 1, :, :-1], y[:, 1, :, -1:] = x[:, 1, :, 1:], x[:, 1, :, -1:]
  y[:, 2:] = x[:, 2:]
  return net.fc(y.amax((2, 3)))


def _change_view(net, x):
  seen = x.view(-1, 4, 36)
  x[:, :2].relu_()
  return net.fc(seen.mean(2) + x.amax((2, 3)))


def _change_masked(net, x):
  x[x < 0] = 0.1
  x[:, :, 0].masked_fill_(x[:, :, 0] > 0.2, 0.0)
  return net.fc(x.mean((2, 3)))


def _change_logits(net, x):
  logits = net.fc(x.mean((2, 3)))
  logits[:, :2].mul_(2)
  return logits


def _change_view_of_logits(net, x):
  logits = net.fc(x.mean((2, 3)))
  view = logits.view(-1, 5)
  logits.mul_(2)
  return view


@pytest.mark.parametrize(
  'forward',
  [
    _assign_slice,
    _assign_new_tensor,
    _assign_indices,
    _shift,
    _change_view,
    _change_masked,
    _change_logits,
    _change_view_of_logits,
  ],
)
def test_changes_of_parts_are_those_of_pytorch(tmp_path, forward):
  assert _difference(_read(tmp_path, forward)) < 1e-5


@pytest.mark.parametrize('name', ['reshape_as', 'contiguous', 'flatten'])
def test_what_may_be_a_copy_is_refused(tmp_path, name):
  def forward(net, x):
    x = x.permute(0, 2, 3, 1)
    getattr(x, name)(*([x] if name == 'reshape_as' else [])).relu_()
    return net.fc(x.mean((1, 2)))

  with pytest.raises(UserError, match=r'relu_\.default changes permute, too'):
    _read(tmp_path, forward)


def test_an_einsum_of_one_tensor_is_a_view_of_it(tmp_path):
  import torch

  def permute(net, x):
    torch.einsum('nchw->nhwc', x).relu_()
    return net.fc(x.mean((2, 3)))

  with pytest.raises(UserError, match=r'relu_\.default changes conv2d, too'):
    _read(tmp_path, permute)

  def multiply(net, x):
    product = torch.einsum('nchw,nchw->nc', x, x).relu_()
    return net.fc(product + x.mean((2, 3)))

  assert _read(tmp_path, multiply).num_logits == 5


def test_a_net_that_changes_a_buffer_is_refused(tmp_path):
  def forward(net, x):
    net.scale.mul_(2)
    return net.fc(x.mean((2, 3))) * net.scale

  with pytest.raises(UserError, match='changes scale, so that logits depend'):
    _read(tmp_path, forward)


def test_a_squeeze_in_place_keeps_the_batch(tmp_path):
  import jax
  from torch.nn import functional

  def forward(net, x):
    return net.fc(functional.adaptive_max_pool2d(x, 1).squeeze_())

  (function,), (part,) = _read(tmp_path, forward).cut([])
  one_image = np.ones((1, 8, 8, 3), np.float32)
  assert jax.eval_shape(function, part, one_image).shape == (1, 5)
