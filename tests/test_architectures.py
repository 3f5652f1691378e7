"""What `networks/architectures.py` takes over, and what it refuses."""

import json
import pathlib

import jax
import numpy as np
import pytest

from dualgan_jax.errors import UserError
from dualgan_jax.networks import architectures
from tests import state_dicts

# Of PyTorch; test_against_torch holds it to that.
KEPT = json.loads(pathlib.Path(__file__).with_name('logits.json').read_text())


def _take(name, tensors, labels=state_dicts.LABELS):
  return architectures.take_over(
    'teachers.x.weights', name, tensors, labels, state_dicts.image(name)
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


def _without(tensors, *names):
  return {k: v for k, v in tensors.items() if k not in names}


@pytest.mark.parametrize(
  ('change', 'said'),
  [
    (lambda t: _without(t, 'fc2.bias'), r'a lenet5: fc2\.bias missing'),
    (
      lambda t: {**t, 'fc3.bias': t['fc2.bias']},
      r'a lenet5: fc3\.bias unknown',
    ),
    (
      lambda t: {**t, 'conv1.weight': t['conv1.weight'][:, :, :3]},
      r'conv1\.weight is 6×1×3×5 instead of 6×1×5×5',
    ),
    (
      lambda t: {**t, 'fc1.bias': np.full(84, np.nan, np.float32)},
      r'fc1\.bias holds NaN',
    ),
    (lambda t: {}, 'and 7 more missing'),
  ],
)
def test_wrong_tensors_are_named(change, said):
  tensors = change(state_dicts.tensors('lenet5'))
  with pytest.raises(UserError, match=rf'^teachers\.x\.weights: .*{said}'):
    _take('lenet5', tensors)


@pytest.mark.parametrize(
  ('labels', 'image', 'said'),
  [
    (4, (32, 32, 3), 'it answers 7 labels, so name all of them'),
    (7, (32, 32, 1), r'it takes 3 channel\(s\), so set its size to 32×32×3'),
    (4, (32, 32, 1), 'it answers 7 labels, so .* and it takes 3 channel'),
  ],
)
def test_other_labels_and_channels_are_named(labels, image, said):
  with pytest.raises(
    UserError, match=f'not the weights of a wrn_16_1.*; {said}'
  ):
    architectures.take_over(
      'f', 'wrn_16_1', state_dicts.tensors('wrn_16_1'), labels, image
    )


def test_negative_variances_are_named():
  tensors = state_dicts.tensors('wrn_16_1')
  tensors['bn1.running_var'] = -tensors['bn1.running_var']
  with pytest.raises(UserError, match=r'bn1\.running_var holds negative var'):
    _take('wrn_16_1', tensors)


@pytest.mark.parametrize(
  'fitting', ['wrn_16_1', 'wrn_40_2', 'cifar_vgg11_bn', 'resnet18']
)
def test_the_architecture_that_would_fit_is_named(fitting):
  tensors = state_dicts.tensors(fitting)
  with pytest.raises(UserError, match=f'; they fit {fitting}.$'):
    _take('wrn_16_2', tensors)
