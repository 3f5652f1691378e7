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


@pytest.mark.parametrize('name', _entries())
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
  import timm
  import torch

  from dualgan_jax.errors import UserError
  from dualgan_jax.teachers.torch_export import exported_net
  from tests import torch_exports

  net = timm.create_model(
    'vit_tiny_patch16_224', img_size=32, depth=2, num_classes=7
  )
  path = torch_exports.save(net, torch.rand(2, 3, 32, 32), tmp_path / 'vit.pt2')
  net = exported_net.read(path)
  grid, tokens = net.choose_cuts()
  assert (grid.feature_shape, tokens.feature_shape) == ((2, 2, 192), (5, 192))
  with pytest.raises(UserError, match='of 5×192 have no height and width'):
    net.choose_cuts(('patch_embed.proj', 'blocks.0', 'blocks.1'))


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
