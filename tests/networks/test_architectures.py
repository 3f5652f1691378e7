"""Each architecture gives the logits that PyTorch gave for the same weights."""

import json

import jax
import numpy as np
import pytest

from dualgan_jax.networks.architectures import ARCHITECTURES
from dualgan_jax.teachers import weight_matching
from tests import state_dicts
from tests.paths import FILES

# Written by PyTorch; test_against_torch checks that.
PYTORCH_LOGITS = json.loads((FILES / 'logits.json').read_text())


def _convert(name, tensors, stem_pool=None):
  _, variables = weight_matching.load_variables(
    'teachers.x.weights',
    name,
    state_dicts.contents(tensors),
    state_dicts.NUM_LABELS,
    state_dicts.image_shape(name),
    stem_pool=stem_pool,
  )
  return variables


@pytest.mark.parametrize('name', state_dicts.NAMES)
def test_logits_are_those_that_pytorch_gave(name):
  net = ARCHITECTURES[name][0].create(state_dicts.NUM_LABELS)
  variables = _convert(name, state_dicts.tensors(name))
  logits, _ = jax.jit(
    lambda variables, images: net.apply(variables, images, train=False)
  )(variables, state_dicts.images(name))
  np.testing.assert_allclose(logits, PYTORCH_LOGITS[name], rtol=1e-4, atol=1e-4)


def test_counts_of_batches_are_not_read():
  tensors = state_dicts.tensors('wrn_16_1')
  counted = {**tensors, 'bn1.num_batches_tracked': np.array(3)}
  jax.tree.map(
    np.testing.assert_array_equal,
    _convert('wrn_16_1', tensors),
    _convert('wrn_16_1', counted),
  )


@pytest.mark.parametrize(
  ('name', 'our_part', 'other_part'),
  [
    ('lenet5', 'fc1', 'fc.0'),
    ('lenet5', 'conv2', 'features.3'),
    ('cifar_resnet18', 'linear', 'fc'),
    ('cifar_resnet18', 'linear', 'classifier.1'),
    ('cifar_resnet18', 'shortcut', 'downsample'),
    ('cifar_resnet18', 'layer2', 'conv3_x'),
    ('wrn_16_1', 'fc', 'linear'),
    ('vgg11', 'classifier', 'classifier.1'),
  ],
)
def test_other_names_of_the_same_parts_are_known(name, our_part, other_part):
  tensors = state_dicts.tensors(name)
  renamed = {
    tensor_name.replace(f'{our_part}.', f'{other_part}.'): tensor
    for tensor_name, tensor in tensors.items()
  }
  assert renamed.keys() != tensors.keys()
  stem_pool = False if other_part == 'downsample' else None
  jax.tree.map(
    np.testing.assert_array_equal,
    _convert(name, tensors),
    _convert(name, renamed, stem_pool=stem_pool),
  )
