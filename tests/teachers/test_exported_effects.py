"""Nets that change tensors in place give PyTorch's logits, or are refused."""

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


def test_a_view_of_the_logits_may_not_be_changed(tmp_path):
  def forward(net, x):
    logits = net.fc(x.mean((2, 3)))
    logits[:, :2].mul_(2)
    return logits

  with pytest.raises(UserError, match=r'mul_\.Tensor changes linear, too'):
    _read(tmp_path, forward)


def test_logits_may_be_no_view_of_what_is_changed(tmp_path):
  def forward(net, x):
    logits = net.fc(x.mean((2, 3)))
    view = logits.view(-1, 5)
    logits.mul_(2)
    return view

  with pytest.raises(UserError, match=r'mul_\.Tensor changes view, too'):
    _read(tmp_path, forward)


@pytest.mark.parametrize('name', ['view_as', 'reshape_as', 'swapaxes'])
def test_all_kinds_of_views_are_known(tmp_path, name):
  def forward(net, x):
    arguments = (1, 2) if name == 'swapaxes' else (x,)
    getattr(x, name)(*arguments).relu_()
    return net.fc(x.mean((2, 3)))

  with pytest.raises(UserError, match=r'relu_\.default changes conv2d, too'):
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
  import numpy as np
  from torch.nn import functional

  def forward(net, x):
    return net.fc(functional.adaptive_max_pool2d(x, 1).squeeze_())

  (function,), (part,) = _read(tmp_path, forward).cut([])
  one_image = np.ones((1, 8, 8, 3), np.float32)
  assert jax.eval_shape(function, part, one_image).shape == (1, 5)
