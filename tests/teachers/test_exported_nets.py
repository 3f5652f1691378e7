"""Nets that public repositories train give PyTorch's logits and features."""

import importlib.util

import pytest

from tests.paths import ROOT

pytestmark = pytest.mark.torch
_HAS_TORCH = importlib.util.find_spec('torch') is not None


def _entries():
  """Lists the nets, none without PyTorch."""
  if not _HAS_TORCH:
    return {}
  from tests.exported_nets import zoo

  return zoo.entries()


# Nets of libraries are large: a few are enough for each change.
_FAST_LIBRARY_NETS = ('resnet18', 'mobilenet_v2', 'timm_convnext_atto')


def _names():
  """Lists the names of the nets, most of those of libraries as slow."""
  return [
    pytest.param(name, marks=pytest.mark.slow)
    if entry.is_of_library and name not in _FAST_LIBRARY_NETS
    else name
    for name, entry in _entries().items()
  ]


@pytest.mark.parametrize('name', _names())
def test_logits_and_features_are_those_of_pytorch(name, tmp_path):
  from tests.exported_nets import zoo

  difference, num_blocks, _ = zoo.compare(_entries()[name], tmp_path)
  assert difference < 1e-4
  assert num_blocks >= 2


def test_the_documentation_lists_these_nets():
  from tests.exported_nets import zoo

  assert len(_entries()) >= 45
  page = (ROOT / 'docs' / 'teachers.md').read_text(encoding='utf-8')
  for row in zoo.table(dict.fromkeys(_entries(), 0.0)):
    assert row.removesuffix('0e+00 |') in page


def test_tokens_have_no_height_between_blocks(tmp_path):
  import torch

  from dualgan_jax.errors import UserError
  from dualgan_jax.teachers.torch_export import exported_net
  from tests import torch_exports
  from tests.exported_nets import zoo

  zoo.declare_missing_operations()
  import timm

  net = timm.create_model(
    'vit_tiny_patch16_224', img_size=32, depth=2, num_classes=7
  )
  path = torch_exports.save(net, torch.rand(2, 3, 32, 32), tmp_path / 'vit.pt2')
  net = exported_net.read(path)
  grid, tokens = net.choose_cuts()
  assert (grid.feature_shape, tokens.feature_shape) == ((2, 2, 192), (5, 192))
  with pytest.raises(UserError, match='of 5×192 have no height and width'):
    net.choose_cuts(('patch_embed.proj', 'blocks.0', 'blocks.1'))


def test_windows_and_changes_in_place_are_those_of_pytorch(tmp_path):
  from torch import nn

  from tests.exported_nets import zoo

  class Net(nn.Module):
    def __init__(self):
      super().__init__()
      self.first = nn.Conv2d(3, 4, 3, padding=1)
      self.inner = nn.Conv2d(4, 4, 3, padding=1)
      self.second = nn.Conv2d(4, 6, 3, 2, 1)
      self.answer = nn.Linear(6, 7)

    def forward(self, x):
      x = self.first(x)
      # The shortcut reads what is changed in place.
      x = self.inner(nn.functional.relu(x, inplace=True)) + x
      n, c, h, w = x.shape
      # Four windows of each image are rows of their own.
      x = x.view(n, c, 2, h // 2, 2, w // 2).permute(0, 2, 4, 1, 3, 5)
      x = self.inner(x.reshape(4 * n, c, h // 2, w // 2))
      x = x.view(n, 2, 2, c, h // 2, w // 2).permute(0, 3, 1, 4, 2, 5)
      x = self.second(x.reshape(n, c, h, w))
      return self.answer(x.mean((2, 3)))

  difference, num_blocks, _ = zoo.compare(
    zoo.Entry('', Net, (8, 8, 3)), tmp_path
  )
  assert difference < 1e-5
  assert num_blocks == 2


def test_what_happens_to_the_image_alone_is_no_block(tmp_path):
  import torch
  from torch import nn

  from dualgan_jax.teachers.torch_export import exported_net
  from tests import torch_exports

  class Net(nn.Module):
    def __init__(self):
      super().__init__()
      self.register_buffer('mean', torch.rand(3, 1, 1))
      self.features = nn.Sequential(
        nn.ReflectionPad2d(2),
        nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 5)),
        nn.BatchNorm2d(4),
        nn.Conv2d(4, 6, 3, 2, 1),
        nn.ReLU(),
      )
      self.answer = nn.Linear(6, 5)

    def forward(self, x):
      return self.answer(self.features(x - self.mean).mean((2, 3)))

  path = torch_exports.save(
    Net(), torch.rand(2, 3, 8, 8), tmp_path / 'padded.pt2'
  )
  net = exported_net.read(path)
  assert [cut.feature_shape for cut in net.choose_cuts()] == [
    (8, 8, 4),
    (4, 4, 6),
  ]
  # Neither is a net cut there whose first convolution has a stride.
  strided = nn.Sequential(
    nn.ZeroPad2d(2),
    nn.Conv2d(3, 4, 5, 2),
    nn.Conv2d(4, 6, 3, 2, 1),
    nn.Flatten(),
    nn.Linear(24, 5),
  )
  path = torch_exports.save(
    strided, torch.rand(2, 3, 8, 8), tmp_path / 'strided.pt2'
  )
  cuts = exported_net.read(path).choose_cuts()
  assert [cut.feature_shape for cut in cuts] == [(4, 4, 4), (2, 2, 6)]


def test_a_net_that_keeps_its_batch_is_refused(tmp_path):
  import torch

  from dualgan_jax.errors import UserError
  from dualgan_jax.teachers.torch_export import exported_net
  from tests import torch_exports

  path = torch_exports.save(
    torch_exports.create_net(),
    torch.rand(2, 3, 8, 8),
    tmp_path / 'fixed.pt2',
    dynamic_shapes=None,
  )
  with pytest.raises(UserError, match='its batch has the fixed size 2'):
    exported_net.read(path)
