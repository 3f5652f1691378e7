"""ResNets under the names that public repositories give to their parts.

Written from the papers and those names; `blocks(x)` yields each block's output.
"""

import dataclasses
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional


@dataclasses.dataclass(frozen=True)
class Names:
  """Names of a ResNet's parts.

  Attributes:
    shortcut: of what stands beside a unit; None: subsampled and padded.
    head: of the last layer.
    sequential: whether a unit, and the stem, are an `nn.Sequential` each.
  """

  shortcut: str | None
  head: str
  sequential: bool = False


AKAMASTER = Names(None, 'linear')
KUANGLIU = Names('shortcut', 'linear')
TORCHVISION = Names('downsample', 'fc')
WEIAICUNZAI = Names('shortcut', 'fc', sequential=True)


def _conv_and_norm(in_channels, out_channels, kernel_size, stride):
  return [
    nn.Conv2d(
      in_channels,
      out_channels,
      kernel_size,
      stride,
      kernel_size // 2,
      bias=False,
    ),
    nn.BatchNorm2d(out_channels),
  ]


class _Unit(nn.Module):
  def __init__(self, in_channels, width, stride, bottleneck, names):
    super().__init__()
    self.names, self.stride = names, stride
    self.out_channels = 4 * width if bottleneck else width
    sizes = (
      [
        (in_channels, width, 1, 1),
        (width, width, 3, stride),
        (width, self.out_channels, 1, 1),
      ]
      if bottleneck
      else [(in_channels, width, 3, stride), (width, width, 3, 1)]
    )
    pairs = [_conv_and_norm(*size) for size in sizes]
    if names.sequential:
      layers = [layer for pair in pairs for layer in (*pair, nn.ReLU())][:-1]
      self.residual_function = nn.Sequential(*layers)
    else:
      for index, (conv, norm) in enumerate(pairs, start=1):
        setattr(self, f'conv{index}', conv)
        setattr(self, f'bn{index}', norm)
    self.num_pairs = len(pairs)
    self.reshapes = stride != 1 or in_channels != self.out_channels
    if self.reshapes and names.shortcut:
      layers = _conv_and_norm(in_channels, self.out_channels, 1, stride)
      setattr(self, names.shortcut, nn.Sequential(*layers))

  def _residual(self, x):
    if self.names.sequential:
      return self.residual_function(x)
    for index in range(1, self.num_pairs + 1):
      x = getattr(self, f'bn{index}')(getattr(self, f'conv{index}')(x))
      x = functional.relu(x) if index < self.num_pairs else x
    return x

  def forward(self, x):
    residual = self._residual(x)
    if self.reshapes and self.names.shortcut:
      x = getattr(self, self.names.shortcut)(x)
    elif self.reshapes:
      num_new = (self.out_channels - x.shape[1]) // 2
      x = x[:, :, :: self.stride, :: self.stride]
      x = functional.pad(x, (0, 0, 0, 0, num_new, num_new))
    return functional.relu(x + residual)


class ResNet(nn.Module):
  """A ResNet of three or four layers."""

  def __init__(
    self,
    names: Names,
    depths: Sequence[int],
    num_labels: int,
    *,
    width: int = 64,
    bottleneck: bool = False,
    kernel_size: int = 3,
    stem_pool: bool = False,
  ):
    super().__init__()
    self.names, self.num_layers, self.stem_pool = names, len(depths), stem_pool
    stem = _conv_and_norm(3, width, kernel_size, 1 if kernel_size == 3 else 2)
    if names.sequential:
      self.conv1 = nn.Sequential(*stem, nn.ReLU())
    else:
      self.conv1, self.bn1 = stem
    in_channels = width
    for number, depth in enumerate(depths, start=1):
      units = []
      for unit_index in range(depth):
        stride = 2 if number > 1 and unit_index == 0 else 1
        unit = _Unit(
          in_channels, width * 2 ** (number - 1), stride, bottleneck, names
        )
        units.append(unit)
        in_channels = unit.out_channels
      setattr(self, self._layer_name(number), nn.Sequential(*units))
    setattr(self, names.head, nn.Linear(in_channels, num_labels))

  def _layer_name(self, number):
    return f'conv{number + 1}_x' if self.names.sequential else f'layer{number}'

  def blocks(self, x):
    x = self.conv1(x)
    if not self.names.sequential:
      x = functional.relu(self.bn1(x))
    if self.stem_pool:
      x = functional.max_pool2d(x, 3, 2, 1)
    for number in range(1, self.num_layers + 1):
      x = getattr(self, self._layer_name(number))(x)
      yield x

  def head(self, x):
    return getattr(self, self.names.head)(x.mean((2, 3)))


def wrap_head(net: ResNet) -> ResNet:
  """Puts a dropout before a net's last layer, as users do who fine-tune it."""
  head = getattr(net, net.names.head)
  setattr(net, net.names.head, nn.Sequential(nn.Dropout(0.2), head))
  return net


def make_small(
  names: Names, num_layers: int, num_labels: int, **options
) -> ResNet:
  """Makes a ResNet for CIFAR, of 6n + 2 layers."""
  return ResNet(
    names, ((num_layers - 2) // 6,) * 3, num_labels, width=16, **options
  )


_DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}


def make_large(
  names: Names, num_layers: int, num_labels: int, **options
) -> ResNet:
  """Makes a ResNet of ImageNet's widths, for CIFAR unless options differ."""
  return ResNet(
    names,
    _DEPTHS[num_layers],
    num_labels,
    bottleneck=num_layers == 50,
    **options,
  )


def double(net: nn.Module) -> nn.Module:
  """Draws parameters and moments of a net, and makes it double precision.

  Weights are about as large as trained ones; moments are not trivial.
  """
  generator = torch.Generator().manual_seed(0)
  with torch.no_grad():
    for name, tensor in net.state_dict().items():
      if name.endswith('num_batches_tracked'):
        continue
      values = torch.randn(tensor.shape, generator=generator)
      is_scale = name.endswith('weight') and tensor.ndim == 1
      if name.endswith('running_var') or is_scale:
        tensor.copy_(0.5 + values.abs() / 2)
      elif tensor.ndim == 1:
        tensor.copy_(values / 5)
      else:
        tensor.copy_(values * (0.5 / tensor[0].numel()) ** 0.5)
  return net.double().eval()
