"""VGGs under the names that public repositories give to their parts."""

import itertools
from collections.abc import Sequence

from torch import nn
from torch.nn import functional

_WIDTHS = (64, 128, 256, 512, 512)
_DEPTHS = {
  8: (1, 1, 1, 1, 1),
  11: (1, 1, 2, 2, 2),
  13: (2, 2, 2, 2, 2),
  16: (2, 2, 3, 3, 3),
  19: (2, 2, 4, 4, 4),
}


def _rounds(num_layers, batch_norm):
  """Yields the layers of each block, without poolings."""
  in_channels = 3
  for width, depth in zip(_WIDTHS, _DEPTHS[num_layers], strict=True):
    layers = []
    for _ in range(depth):
      layers.append(nn.Conv2d(in_channels, width, 3, padding=1))
      layers += [nn.BatchNorm2d(width)] * batch_norm
      layers.append(nn.ReLU())
      in_channels = width
    yield layers


class VGG(nn.Module):
  """A VGG with its layers in `features`.

  `classifier` may be one layer or an `nn.Sequential`; features are averaged to
  `pooled_size` before it.
  """

  def __init__(
    self,
    num_layers: int,
    classifier: nn.Module,
    *,
    batch_norm: bool = True,
    pooled_size: int = 1,
  ):
    super().__init__()
    layers, self.block_ends = [], []
    for block in _rounds(num_layers, batch_norm):
      layers += block
      self.block_ends.append(len(layers))
      layers.append(nn.MaxPool2d(2, 2))
    self.features = nn.Sequential(*layers)
    self.classifier, self.pooled_size = classifier, pooled_size

  def blocks(self, x):
    start = 0
    for end in self.block_ends:
      x = self.features[start:end](x)
      yield x
      start = end

  def head(self, x):
    x = functional.max_pool2d(x, 2, 2)
    x = functional.adaptive_avg_pool2d(x, self.pooled_size)
    return self.classifier(x.flatten(1))


class BlockVGG(nn.Module):
  """A VGG with its layers in `block0` .. `block4`, as for distillation."""

  def __init__(
    self, num_layers: int, num_labels: int, *, batch_norm: bool = True
  ):
    super().__init__()
    for index, layers in enumerate(_rounds(num_layers, batch_norm)):
      setattr(self, f'block{index}', nn.Sequential(*layers[:-1]))
    self.classifier = nn.Linear(512, num_labels)

  def blocks(self, x):
    for index in range(5):
      x = functional.max_pool2d(x, 2, 2) if index in (1, 2, 3) else x
      x = functional.relu(getattr(self, f'block{index}')(x))
      yield x

  def head(self, x):
    return self.classifier(x.mean((2, 3)))


def dense_layers(
  widths: Sequence[int], order: str = 'torchvision'
) -> nn.Sequential:
  """Makes three dense layers with ReLU and dropout, in one of three orders."""
  first, second, third = (
    nn.Linear(*sizes) for sizes in itertools.pairwise(widths)
  )
  drop, relu = nn.Dropout, nn.ReLU
  layers = {
    'torchvision': (first, relu(), drop(), second, relu(), drop(), third),
    'weiaicunzai': (first, relu(), drop(), second, relu(), third),
    'chengyangfu': (drop(), first, relu(), drop(), second, relu(), third),
  }
  return nn.Sequential(*layers[order])
