"""The architectures whose PyTorch weights can be used, by name.

One architecture may have several variants, since public repositories build and
name it differently. The names and shapes of the tensors in a file decide which
variant it holds.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

from dualgan_jax.networks import cnn, resnet, vgg, wide_resnet
from dualgan_jax.networks.classifier import Classifier
from dualgan_jax.networks.cnn import Conv


@dataclasses.dataclass(frozen=True, eq=False)
class Variant:
  """A net, and the names of its parts in weight files.

  Attributes:
    create: `(num_labels, dtype=...) -> Classifier`, and `stem_pool=...` if
      there may be a max pool after its first convolution.
    renamed: by another name of one of its parts, our name of it, in the order
      in which they are replaced; parts begin at the start of a tensor's name,
      or after a dot.
    smallest: the least height and width of an image that it can take.
    largest: the greatest, if its head is for features of one size.
    stem_pool: whether a max pool follows its first convolution, unless a config
      says otherwise; None if there never is one.
  """

  create: Callable[..., Classifier]
  renamed: Mapping[str, str] = dataclasses.field(default_factory=dict)
  smallest: int = 16
  largest: int | None = None
  stem_pool: bool | None = None

  def takes(self, image_size: Sequence[int]) -> bool:
    """Returns whether it can take images of this height and width."""
    return min(image_size) >= self.smallest and (
      self.largest is None or max(image_size) <= self.largest
    )


def _head_names(name: str) -> dict[str, str]:
  """Lists other names of a head, alone or behind a dropout."""
  other_names = ('fc', 'linear', 'classifier')
  return {
    **{f'{other_name}.1': name for other_name in other_names},
    **{other_name: name for other_name in other_names if other_name != name},
  }


# Other names of the parts of ResNets, above all those of weiaicunzai's.
_RESNET_NAMES = {
  'conv1.0': 'conv1',
  'conv1.1': 'bn1',
  **{f'conv{number + 1}_x': f'layer{number}' for number in (1, 2, 3, 4)},
  **{
    f'residual_function.{3 * index}': f'conv{index + 1}' for index in (0, 1, 2)
  },
  **{
    f'residual_function.{3 * index + 1}': f'bn{index + 1}'
    for index in (0, 1, 2)
  },
}
_LARGE_NAMES = _RESNET_NAMES | {'shortcut': 'downsample'} | _head_names('fc')
_SMALL_NAMES = (
  _RESNET_NAMES | {'downsample': 'shortcut'} | _head_names('linear')
)


def _resnet(
  depths: Sequence[int], *, small: bool, bottleneck: bool = False
) -> tuple[Variant, ...]:
  """Makes the row of a ResNet of ImageNet's widths."""
  create = functools.partial(
    resnet.create, depths, small=small, bottleneck=bottleneck
  )
  names = _SMALL_NAMES if small else _LARGE_NAMES
  return (
    Variant(create, names, smallest=16 if small else 32, stem_pool=not small),
  )


def _cifar_resnet(num_units: int) -> tuple[Variant, ...]:
  """Makes the row of a ResNet of CIFAR's widths, with either shortcut."""
  create = functools.partial(
    resnet.create, (num_units,) * 3, small=True, widths=resnet.CIFAR_WIDTHS
  )
  return tuple(
    Variant(functools.partial(create, learned_shortcut=option), _SMALL_NAMES)
    for option in (False, True)
  )


def _vgg(num_layers: int, batch_norm: bool) -> tuple[Variant, ...]:
  """Makes the row of a VGG with its layers in `features`, by its heads."""
  create = functools.partial(vgg.create, num_layers, batch_norm=batch_norm)
  return (
    Variant(create, _head_names('classifier'), smallest=32),
    *(
      Variant(
        functools.partial(
          create, hidden_widths=(width, width), pooled_size=pooled_size
        ),
        _VGG_HEAD_NAMES,
        smallest=32,
      )
      for width, pooled_size in ((512, 1), (4096, 1), (4096, 7))
    ),
  )


def _cifar_vgg(num_layers: int, batch_norm: bool) -> tuple[Variant, ...]:
  """Makes the row of a VGG with its layers in `block0` .. `block4`."""
  create = functools.partial(
    vgg.create_for_cifar, num_layers, batch_norm=batch_norm
  )
  return (Variant(create, _head_names('classifier')),)


def _cnn(
  layers: Sequence[Conv],
  hidden_widths: Sequence[int],
  names: Mapping[str, str] | None = None,
  *,
  smallest: int = 28,
) -> Variant:
  """Makes a variant of a plain convolutional net."""
  create = functools.partial(cnn.create, layers, hidden_widths)
  return Variant(create, names or {}, smallest, largest=35)


# The indices of torchvision's dense layers are 0, 3 and 6; without the last
# dropout 0, 3 and 5, and with the dropouts before them 1, 4 and 6.
_VGG_HEAD_NAMES = {
  'classifier.1': 'classifier.0',
  'classifier.4': 'classifier.3',
  'classifier.5': 'classifier.6',
}
# LeNet-5 with its layers in two `nn.Sequential`s.
_LENET_NAMES = {
  'features.0': 'conv1',
  'features.3': 'conv2',
  'features.6': 'conv3',
  'fc.0': 'fc1',
  'fc.2': 'fc2',
}
_CNN3_NAMES = {
  'conv_layers.0': 'conv1',
  'conv_layers.3': 'conv2',
  'conv_layers.6': 'conv3',
  'fc_layers.0': 'fc1',
  'fc_layers.2': 'fc2',
}
_CNN2_NAMES = {
  **{f'layer{number}.0': f'conv{number}' for number in (1, 2)},
  **{f'layer{number}.1': f'bn{number}' for number in (1, 2)},
  'fc': 'fc1',
}
_BATCH_NORM_SUFFIXES = {True: '_bn', False: ''}
# By the name that a config gives, the nets of this name, for images of the same
# sizes.
ARCHITECTURES: dict[str, tuple[Variant, ...]] = {
  'resnet18': _resnet((2, 2, 2, 2), small=False),
  'resnet34': _resnet((3, 4, 6, 3), small=False),
  'resnet50': _resnet((3, 4, 6, 3), small=False, bottleneck=True),
  'cifar_resnet18': _resnet((2, 2, 2, 2), small=True),
  'cifar_resnet34': _resnet((3, 4, 6, 3), small=True),
  'cifar_resnet50': _resnet((3, 4, 6, 3), small=True, bottleneck=True),
  **{
    f'cifar_resnet{layers}': _cifar_resnet((layers - 2) // 6)
    for layers in (20, 32, 44, 56, 110)
  },
  **{
    f'wrn_{layers}_{widen}': (
      Variant(
        functools.partial(wide_resnet.create, layers, widen), _head_names('fc')
      ),
    )
    for layers in (16, 40)
    for widen in (1, 2)
  },
  **{
    f'vgg{layers}{suffix}': _vgg(layers, batch_norm)
    for batch_norm, suffix in _BATCH_NORM_SUFFIXES.items()
    for layers in (11, 13, 16, 19)
  },
  **{
    f'cifar_vgg{layers}{suffix}': _cifar_vgg(layers, batch_norm)
    for batch_norm, suffix in _BATCH_NORM_SUFFIXES.items()
    for layers in vgg.DEPTHS
  },
  # Its last convolution needs features of five pixels.
  'lenet5': (
    _cnn(
      (Conv(6, 5), Conv(16, 5), Conv(120, 5, pool=False)),
      (84,),
      _LENET_NAMES,
      smallest=32,
    ),
  ),
  # The width of the first dense layer says whether images were padded.
  'lenet': tuple(
    _cnn((Conv(6, 5, padding), Conv(16, 5)), (120, 84)) for padding in (0, 2)
  ),
  'cnn2': (
    _cnn((Conv(32, 3, pool=False), Conv(64, 3)), (128,)),
    _cnn(
      (Conv(16, 5, 2, batch_norm=True), Conv(32, 5, 2, batch_norm=True)),
      (),
      _CNN2_NAMES,
    ),
  ),
  'cnn3': (
    *(
      _cnn((*(Conv(width, 3) for width in widths), last_conv), hidden_widths)
      for widths, last_conv, hidden_widths in (
        ((128, 128), Conv(128, 3, pool=False), ()),
        ((256, 256), Conv(128, 3, pool=False), ()),
        ((32, 64), Conv(64, 3, pool=False), (64,)),
      )
    ),
    _cnn(
      (Conv(32, 3, 1), Conv(64, 3, 1), Conv(128, 3, 1)), (256,), _CNN3_NAMES
    ),
  ),
}
