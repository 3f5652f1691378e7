"""Every architecture computes what PyTorch does with the same weights."""

import json

import jax
import numpy as np
import pytest

from dualgan_jax.errors import UserError
from dualgan_jax.networks import architectures
from dualgan_jax.networks.classifier import apply_block
from dualgan_jax.teachers import reference_logits, weight_files, weight_matching
from dualgan_jax.teachers.teacher import Preparation, from_classifier, prepared
from tests import state_dicts
from tests.paths import FILES

pytestmark = pytest.mark.torch
TINY = FILES / 'tiny.pt'
KEPT = FILES / 'logits.json'


def _theirs(name, train):
  import torch

  from tests import torch_nets

  net = torch_nets.create(name, state_dicts.LABELS)
  torch_nets.load(net, state_dicts.tensors(name))
  net.double().train(train)
  x = torch.from_numpy(state_dicts.images(name).transpose(0, 3, 1, 2).copy())
  with torch.no_grad():
    features = list(net.blocks(x.double()))
    logits = net.head(features[-1])
  return [f.numpy().transpose(0, 2, 3, 1) for f in features], logits.numpy()


@pytest.mark.parametrize('train', [False, True])
@pytest.mark.parametrize('name', architectures.ARCHITECTURES)
def test_features_and_logits_are_those_of_pytorch(name, train):
  tensors, shape = state_dicts.tensors(name), state_dicts.image(name)
  net = architectures.ARCHITECTURES[name].create(state_dicts.LABELS)
  contents = state_dicts.contents(tensors)
  variables = weight_matching.take_over(
    'teachers.x', name, contents, state_dicts.LABELS, shape
  )
  features, logits = _theirs(name, train)
  assert len(features) == len(net.blocks)
  # In double precision: the moments of few samples, layer after layer, make
  # much of what single precision rounds away.
  with jax.enable_x64(True):
    x = state_dicts.images(name).astype(np.float64)
    for block, own, wanted in zip(
      net.blocks, variables[:-1], features, strict=True
    ):
      run = jax.jit(
        lambda own, x, block=block: apply_block(block, own, x, train=train)[0]
      )
      x = run(own, x)
      np.testing.assert_allclose(x, wanted, rtol=1e-4, atol=1e-4)
    ours = net.head.apply(variables[-1], x)
  np.testing.assert_allclose(ours, logits, rtol=1e-4, atol=1e-4)
  assert np.ptp(logits) > 0.1  # there is something to compare


def test_the_kept_logits_are_those_of_pytorch():
  kept = json.loads(KEPT.read_text())
  assert set(kept) == set(architectures.ARCHITECTURES)
  for name, logits in kept.items():
    np.testing.assert_allclose(logits, _theirs(name, False)[1], atol=1e-4)


def test_a_file_is_read_as_pytorch_reads_it():
  import torch

  theirs = torch.load(TINY, weights_only=True)['state_dict']
  ours = weight_files.read(TINY)
  assert list(ours) == list(theirs)
  for name, x in theirs.items():
    x = x.detach()
    assert str(ours[name].dtype) == str(x.dtype).removeprefix('torch.')
    np.testing.assert_array_equal(
      ours[name].astype(np.float32), x.float().numpy(), strict=True
    )


def test_a_saved_net_is_taken_over(tmp_path):
  import torch

  from tests import torch_nets

  net = torch_nets.create('wrn_16_1', state_dicts.LABELS)
  torch_nets.load(net, state_dicts.tensors('wrn_16_1'))
  path = tmp_path / 'best.pth'
  torch.save({'epoch': 7, 'state_dict': net.state_dict()}, path)

  def take(contents):
    return weight_matching.take_over(
      'teachers.x', 'wrn_16_1', contents, state_dicts.LABELS, (32, 32, 3)
    )

  jax.tree.map(
    np.testing.assert_array_equal,
    take(weight_files.contents(path)),
    take(state_dicts.contents(state_dicts.tensors('wrn_16_1'))),
  )


def test_a_whole_pickled_net_is_refused_with_the_way_to_save_it(tmp_path):
  import torch

  from tests import torch_nets

  torch.save(torch_nets.create('lenet5', 10), tmp_path / 'net.pt')
  with pytest.raises(
    UserError, match=r'holds tests\.torch_nets\.LeNet, .*state_dict\(\)'
  ):
    weight_files.read(tmp_path / 'net.pt')


@pytest.mark.parametrize('stem_pool', [None, True, False])
@pytest.mark.parametrize('name', ['resnet18', 'cifar_resnet18', 'lenet5'])
def test_pytorch_prints_the_same_logits_of_the_fixed_image(
  name, stem_pool, capsys
):
  import torch

  from tests import torch_nets

  if stem_pool is not None and name == 'lenet5':
    return  # it has no such pool
  model = torch_nets.create(name, state_dicts.LABELS, stem_pool)
  torch_nets.load(model, state_dicts.tensors(name))
  model.forward = lambda x: model.head([*model.blocks(x)][-1])
  shape = state_dicts.image(name)
  mean, std = (
    ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)) if shape[2] == 3 else ((0,), (1,))
  )
  pool = {} if stem_pool is None else {'stem_pool': stem_pool}
  net = architectures.ARCHITECTURES[name].create(state_dicts.LABELS, **pool)
  variables = weight_matching.take_over(
    'f',
    name,
    state_dicts.contents(state_dicts.tensors(name)),
    state_dicts.LABELS,
    shape,
  )
  teacher = prepared(
    from_classifier('x', tuple('abcdefg'), net, variables),
    Preparation(shape, mean, std),
  )
  ours, line = reference_logits.comparison(teacher, shape, mean, std)
  capsys.readouterr()
  exec(line.strip(), {'torch': torch, 'model': model})
  theirs = json.loads(capsys.readouterr().out)
  ours = json.loads(ours[ours.index('[') : ours.index(']') + 1])
  np.testing.assert_allclose(ours, theirs, atol=1.5e-3)
  assert np.ptp(theirs) > 0.1
