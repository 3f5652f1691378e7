"""PyTorch nets with the names of the files that users bring, and tensors.

Written anew from the papers and from the names; `blocks(x)` gives what we cut.
"""

import torch
from torch import nn
from torch.nn import functional


def _conv(inner, width, kernel, stride=1, bias=False):
  return nn.Conv2d(inner, width, kernel, stride, kernel // 2, bias=bias)


class _Residual(nn.Module):
  def __init__(self, inner, width, stride, bottleneck, shortcut):
    super().__init__()
    last = 4 * width if bottleneck else width
    shapes = (
      [(inner, width, 1, 1), (width, width, 3, stride), (width, last, 1, 1)]
      if bottleneck
      else [(inner, width, 3, stride), (width, last, 3, 1)]
    )
    self.count = len(shapes)
    for i, shape in enumerate(shapes, start=1):
      setattr(self, f'conv{i}', _conv(*shape))
      setattr(self, f'bn{i}', nn.BatchNorm2d(shape[1]))
    self.beside = []
    if stride != 1 or inner != last:
      beside = nn.Sequential(
        _conv(inner, last, 1, stride), nn.BatchNorm2d(last)
      )
      setattr(self, shortcut, beside)
      self.beside = [beside]

  def forward(self, x):
    y = x
    for i in range(1, self.count + 1):
      y = getattr(self, f'bn{i}')(getattr(self, f'conv{i}')(y))
      if i < self.count:
        y = functional.relu(y)
    for beside in self.beside:
      x = beside(x)
    return functional.relu(x + y)


class ResNet(nn.Module):
  """Of torchvision, or of CIFAR if `small`."""

  def __init__(self, depths, bottleneck, small, labels, stem_pool):
    super().__init__()
    self.small = small
    self.stem_pool = not small if stem_pool is None else stem_pool
    self.conv1 = (
      _conv(3, 64, 3) if small else nn.Conv2d(3, 64, 7, 2, 3, bias=False)
    )
    self.bn1 = nn.BatchNorm2d(64)
    inner = 64
    for b, depth in enumerate(depths):
      units = []
      for i in range(depth):
        stride = 2 if b and not i else 1
        units.append(
          _Residual(
            inner,
            64 * 2**b,
            stride,
            bottleneck,
            'shortcut' if small else 'downsample',
          )
        )
        inner = 64 * 2**b * (4 if bottleneck else 1)
      setattr(self, f'layer{b + 1}', nn.Sequential(*units))
    setattr(self, 'linear' if small else 'fc', nn.Linear(inner, labels))

  def blocks(self, x):
    x = functional.relu(self.bn1(self.conv1(x)))
    if self.stem_pool:
      x = functional.max_pool2d(x, 3, 2, 1)
    for b in range(1, 5):
      x = getattr(self, f'layer{b}')(x)
      yield x

  def head(self, x):
    return (self.linear if self.small else self.fc)(x.mean((2, 3)))


class _WideUnit(nn.Module):
  def __init__(self, inner, width, stride):
    super().__init__()
    self.bn1 = nn.BatchNorm2d(inner)
    self.conv1 = _conv(inner, width, 3, stride)
    self.bn2 = nn.BatchNorm2d(width)
    self.conv2 = _conv(width, width, 3)
    self.convShortcut = (
      None if inner == width else nn.Conv2d(inner, width, 1, stride, bias=False)
    )

  def forward(self, x):
    y = functional.relu(self.bn1(x))
    if self.convShortcut is not None:
      x = self.convShortcut(y)
    return x + self.conv2(functional.relu(self.bn2(self.conv1(y))))


class WideResNet(nn.Module):
  """Of CIFAR."""

  def __init__(self, layers, widen, labels):
    super().__init__()
    self.conv1 = _conv(3, 16, 3)
    inner = 16
    for b in range(3):
      width = 16 * 2**b * widen
      block = nn.Module()
      block.layer = nn.Sequential(
        *(
          _WideUnit(width if i else inner, width, 2 if b and not i else 1)
          for i in range((layers - 4) // 6)
        )
      )
      setattr(self, f'block{b + 1}', block)
      inner = width
    self.bn1 = nn.BatchNorm2d(inner)
    self.fc = nn.Linear(inner, labels)

  def blocks(self, x):
    x = self.block1.layer(self.conv1(x))
    yield x
    x = self.block2.layer(x)
    yield x
    yield functional.relu(self.bn1(self.block3.layer(x)))

  def head(self, x):
    return self.fc(x.mean((2, 3)))


class VGG(nn.Module):
  """VGG-11 with batch norm, of CIFAR."""

  def __init__(self, labels):
    super().__init__()
    inner = 3
    widths = ((64,), (128,), (256, 256), (512, 512), (512, 512))
    for b, block in enumerate(widths):
      layers = []
      for width in block:
        layers += [
          _conv(inner, width, 3, bias=True),
          nn.BatchNorm2d(width),
          nn.ReLU(),
        ]
        inner = width
      setattr(self, f'block{b}', nn.Sequential(*layers[:-1]))
    self.classifier = nn.Linear(inner, labels)

  def blocks(self, x):
    high = x.shape[2] == 64
    for b in range(5):
      if b in (1, 2, 3) or (b == 4 and high):
        x = functional.max_pool2d(x, 2, 2)
      x = functional.relu(getattr(self, f'block{b}')(x))
      yield x

  def head(self, x):
    return self.classifier(x.mean((2, 3)))


class LeNet(nn.Module):
  """LeNet-5."""

  def __init__(self, labels):
    super().__init__()
    self.conv1 = nn.Conv2d(1, 6, 5)
    self.conv2 = nn.Conv2d(6, 16, 5)
    self.conv3 = nn.Conv2d(16, 120, 5)
    self.fc1 = nn.Linear(120, 84)
    self.fc2 = nn.Linear(84, labels)

  def blocks(self, x):
    for conv in (self.conv1, self.conv2):
      x = functional.max_pool2d(functional.relu(conv(x)), 2, 2)
      yield x
    yield functional.relu(self.conv3(x))

  def head(self, x):
    return self.fc2(functional.relu(self.fc1(x.flatten(1))))


_DEPTHS = {
  18: ((2, 2, 2, 2), False),
  34: ((3, 4, 6, 3), False),
  50: ((3, 4, 6, 3), True),
}


def create(name, labels, stem_pool=None):
  """The net of one of our architectures."""
  if name.startswith('resnet'):
    return ResNet(*_DEPTHS[int(name[6:])], False, labels, stem_pool)
  if name.startswith('cifar_resnet'):
    return ResNet(*_DEPTHS[int(name[12:])], True, labels, stem_pool)
  if name.startswith('wrn'):
    return WideResNet(*map(int, name.split('_')[1:]), labels)
  return {'cifar_vgg11_bn': VGG, 'lenet5': LeNet}[name](labels)


def load(net, tensors):
  """Fills a net; PyTorch counts batches, which we do not."""
  state = {k: torch.from_numpy(v) for k, v in tensors.items()}
  missing, extra = net.load_state_dict(state, strict=False)
  assert not extra, extra
  assert all(x.endswith('num_batches_tracked') for x in missing), missing
