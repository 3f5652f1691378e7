"""Every architecture computes what PyTorch does with the same weights."""

import json

import jax
import numpy as np
import pytest

from dualgan_jax.errors import UserError
from dualgan_jax.networks.classifier import apply_block
from dualgan_jax.teachers import reference_logits, weight_files, weight_matching
from dualgan_jax.teachers.teacher import Preparation, from_classifier, prepared
from tests import state_dicts
from tests.paths import FILES

pytestmark = pytest.mark.torch
TINY_FILE = FILES / 'tiny.pt'
LOGITS_FILE = FILES / 'logits.json'


def _pytorch_outputs(name, train):
  import torch

  from tests import torch_nets

  net = torch_nets.create_net(name, state_dicts.NUM_LABELS)
  torch_nets.load_state_dict(net, state_dicts.tensors(name))
  net.double().train(train)
  images = torch.from_numpy(
    state_dicts.images(name).transpose(0, 3, 1, 2).copy()
  )
  with torch.no_grad():
    features = list(net.blocks(images.double()))
    logits = net.head(features[-1])
  return [
    block_features.numpy().transpose(0, 2, 3, 1) for block_features in features
  ], logits.numpy()


@pytest.mark.parametrize('train', [False, True])
@pytest.mark.parametrize('name', state_dicts.NAMES)
def test_features_and_logits_are_those_of_pytorch(name, train):
  tensors, image_shape = (
    state_dicts.tensors(name),
    state_dicts.image_shape(name),
  )
  contents = state_dicts.contents(tensors)
  variant, variables = weight_matching.load_variables(
    'teachers.x', name, contents, state_dicts.NUM_LABELS, image_shape
  )
  net = variant.create(state_dicts.NUM_LABELS)
  features, logits = _pytorch_outputs(name, train)
  assert len(features) == len(net.blocks)
  # In double precision: the moments of few samples, layer after layer, make
  # much of what single precision rounds away.
  with jax.enable_x64(True):
    block_features = state_dicts.images(name).astype(np.float64)
    for block, block_variables, expected in zip(
      net.blocks, variables[:-1], features, strict=True
    ):
      run_block = jax.jit(
        lambda block_variables, block_features, block=block: apply_block(
          block, block_variables, block_features, train=train
        )[0]
      )
      block_features = run_block(block_variables, block_features)
      np.testing.assert_allclose(block_features, expected, rtol=1e-4, atol=1e-4)
    our_logits = net.head.apply(variables[-1], block_features)
  np.testing.assert_allclose(our_logits, logits, rtol=1e-4, atol=1e-4)
  assert np.ptp(logits) > 0.1  # there is something to compare


def test_the_stored_logits_are_those_of_pytorch():
  logits_by_name = json.loads(LOGITS_FILE.read_text())
  assert set(logits_by_name) == set(state_dicts.NAMES)
  for name, logits in logits_by_name.items():
    np.testing.assert_allclose(
      logits, _pytorch_outputs(name, False)[1], atol=1e-4
    )


def test_a_file_is_read_as_pytorch_reads_it():
  import torch

  pytorch_tensors = torch.load(TINY_FILE, weights_only=True)['state_dict']
  our_tensors = weight_files.read(TINY_FILE)
  assert list(our_tensors) == list(pytorch_tensors)
  for name, tensor in pytorch_tensors.items():
    tensor = tensor.detach()
    assert str(our_tensors[name].dtype) == str(tensor.dtype).removeprefix(
      'torch.'
    )
    np.testing.assert_array_equal(
      our_tensors[name].astype(np.float32), tensor.float().numpy(), strict=True
    )


def test_weights_of_a_saved_net_are_loaded(tmp_path):
  import torch

  from tests import torch_nets

  net = torch_nets.create_net('wrn_16_1', state_dicts.NUM_LABELS)
  torch_nets.load_state_dict(net, state_dicts.tensors('wrn_16_1'))
  path = tmp_path / 'best.pth'
  torch.save({'epoch': 7, 'state_dict': net.state_dict()}, path)

  def load(contents):
    _, variables = weight_matching.load_variables(
      'teachers.x', 'wrn_16_1', contents, state_dicts.NUM_LABELS, (32, 32, 3)
    )
    return variables

  jax.tree.map(
    np.testing.assert_array_equal,
    load(weight_files.read_contents(path)),
    load(state_dicts.contents(state_dicts.tensors('wrn_16_1'))),
  )


def test_a_whole_pickled_net_is_refused_with_the_way_to_save_it(tmp_path):
  import torch

  from tests import torch_nets

  torch.save(torch_nets.create_net('lenet5', 10), tmp_path / 'net.pt')
  with pytest.raises(
    UserError, match=r'holds tests\..*\.DaflLeNet, .*state_dict\(\)'
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
  model = torch_nets.create_net(name, state_dicts.NUM_LABELS, stem_pool)
  torch_nets.load_state_dict(model, state_dicts.tensors(name))
  model.forward = lambda images: model.head([*model.blocks(images)][-1])
  image_shape = state_dicts.image_shape(name)
  mean, std = (
    ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)) if image_shape[2] == 3 else ((0,), (1,))
  )
  pool_options = {} if stem_pool is None else {'stem_pool': stem_pool}
  variant, variables = weight_matching.load_variables(
    'f',
    name,
    state_dicts.contents(state_dicts.tensors(name)),
    state_dicts.NUM_LABELS,
    image_shape,
  )
  net = variant.create(state_dicts.NUM_LABELS, **pool_options)
  teacher = prepared(
    from_classifier('x', tuple('abcdefg'), net, variables),
    Preparation(image_shape, mean, std),
  )
  our_line, pytorch_line = reference_logits.describe_comparison(
    teacher, image_shape, mean, std
  )
  capsys.readouterr()
  exec(pytorch_line.strip(), {'torch': torch, 'model': model})
  pytorch_logits = json.loads(capsys.readouterr().out)
  our_logits = json.loads(
    our_line[our_line.index('[') : our_line.index(']') + 1]
  )
  np.testing.assert_allclose(our_logits, pytorch_logits, atol=1.5e-3)
  assert np.ptp(pytorch_logits) > 0.1
