"""Every architecture, with the weights that a file has for it."""

import json

import jax
import numpy as np
import pytest

from dualgan_jax.networks import architectures
from dualgan_jax.teachers import weight_matching
from tests import state_dicts
from tests.paths import FILES

# Of PyTorch; test_against_torch holds it to that.
KEPT = json.loads((FILES / 'logits.json').read_text())


def _take(name, tensors, labels=state_dicts.LABELS):
  return weight_matching.take_over(
    'teachers.x.weights',
    name,
    state_dicts.contents(tensors),
    labels,
    state_dicts.image(name),
  )


@pytest.mark.parametrize('name', architectures.ARCHITECTURES)
def test_logits_are_those_that_pytorch_gave(name):
  net = architectures.ARCHITECTURES[name].create(state_dicts.LABELS)
  variables = _take(name, state_dicts.tensors(name))
  logits, _ = jax.jit(
    lambda variables, x: net.apply(variables, x, train=False)
  )(variables, state_dicts.images(name))
  np.testing.assert_allclose(logits, KEPT[name], rtol=1e-4, atol=1e-4)


def test_what_only_counts_batches_is_not_read():
  tensors = state_dicts.tensors('wrn_16_1')
  counted = {**tensors, 'bn1.num_batches_tracked': np.array(3)}
  jax.tree.map(
    np.testing.assert_array_equal,
    _take('wrn_16_1', tensors),
    _take('wrn_16_1', counted),
  )


@pytest.mark.parametrize(
  ('name', 'ours', 'theirs'),
  [
    ('lenet5', 'fc1', 'fc.0'),
    ('lenet5', 'conv2', 'features.3'),
    ('cifar_resnet18', 'linear', 'fc'),
    ('cifar_resnet18', 'shortcut', 'downsample'),
  ],
)
def test_other_names_of_the_same_parts_are_known(name, ours, theirs):
  tensors = state_dicts.tensors(name)
  renamed = {k.replace(f'{ours}.', f'{theirs}.'): v for k, v in tensors.items()}
  assert renamed.keys() != tensors.keys()
  jax.tree.map(
    np.testing.assert_array_equal, _take(name, tensors), _take(name, renamed)
  )
