"""A refused weight file is said to be what it looks like."""

import numpy as np
import pytest

from dualgan_jax.errors import UserError
from dualgan_jax.teachers import weight_matching
from tests import state_dicts

_KERNEL, _DEPTHWISE, _DENSE = (8, 4, 3, 3), (8, 1, 3, 3), (7, 8)


@pytest.mark.parametrize(
  ('shapes', 'family'),
  [
    (
      {'features.denseblock1.denselayer1.conv1.weight': _KERNEL},
      r'a DenseNet \(1 convolutions, 0 dense layers\)',
    ),
    ({'cls_token': (1, 1, 8), 'head.weight': _DENSE}, 'a vision transformer'),
    ({'a3.b1.0.weight': _KERNEL}, 'a GoogLeNet'),
    (
      {'conv1.weight': _KERNEL, 'layers.0.conv1.weight': _DEPTHWISE},
      'a MobileNet or EfficientNet',
    ),
    (
      {
        'conv1.weight': _KERNEL,
        'layer1.0.conv2.weight': _KERNEL,
        'layer2.22.conv2.weight': _KERNEL,
      },
      r'a ResNet of 1, 23 units \(3 convolutions, 0',
    ),
    ({'features.0.weight': _KERNEL}, 'a net like VGG or AlexNet'),
    ({'a.weight': _KERNEL}, r'a net \(1 convolutions, 0 dense layers\)'),
  ],
)
def test_the_kind_of_net_is_named_with_another_door(shapes, family):
  tensors = {
    name: np.zeros(shape, np.float32) for name, shape in shapes.items()
  }
  with pytest.raises(
    UserError,
    match=f'looks like {family}.*, none of the arch.*; let torch.export or a',
  ):
    weight_matching.load_variables(
      'teachers.x',
      'wrn_16_1',
      state_dicts.contents(tensors),
      state_dicts.NUM_LABELS,
      (32, 32, 3),
    )


def test_a_net_that_lacks_a_tensor_is_not_called_another():
  tensors = state_dicts.tensors('lenet5')
  del tensors['fc2.bias']
  with pytest.raises(UserError, match=r'a lenet5: fc2\.bias missing\.$'):
    weight_matching.load_variables(
      'teachers.x',
      'lenet5',
      state_dicts.contents(tensors),
      state_dicts.NUM_LABELS,
      (32, 32, 1),
    )
