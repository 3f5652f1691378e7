"""PyTorch nets whose state dicts have the names of the files that users bring.

Written from the papers and those names; `blocks(x)` yields each block's output.
"""

import torch
from torch import nn
from torch.nn import functional


def _conv(in_channels, out_channels, kernel_size, stride=1, use_bias=False):
  return nn.Conv2d(
    in_channels,
    out_channels,
    kernel_size,
    stride,
    kernel_size // 2,
    bias=use_bias,
  )


class _Residual(nn.Module):
  def __init__(self, in_channels, width, stride, bottleneck, shortcut_name):
    super().__init__()
    out_channels = 4 * width if bottleneck else width
    conv_shapes = (
      [
        (in_channels, width, 1, 1),
        (width, width, 3, stride),
        (width, out_channels, 1, 1),
      ]
      if bottleneck
      else [(in_channels, width, 3, stride), (width, out_channels, 3, 1)]
    )
    self.num_convolutions = len(conv_shapes)
    for index, conv_shape in enumerate(conv_shapes, start=1):
      setattr(self, f'conv{index}', _conv(*conv_shape))
      setattr(self, f'bn{index}', nn.BatchNorm2d(conv_shape[1]))
    self.shortcuts = []
    if stride != 1 or in_channels != out_channels:
      shortcut_layers = nn.Sequential(
        _conv(in_channels, out_channels, 1, stride),
        nn.BatchNorm2d(out_channels),
      )
      setattr(self, shortcut_name, shortcut_layers)
      self.shortcuts = [shortcut_layers]

  def forward(self, x):
    residual = x
    for index in range(1, self.num_convolutions + 1):
      residual = getattr(self, f'bn{index}')(
        getattr(self, f'conv{index}')(residual)
      )
      if index < self.num_convolutions:
        residual = functional.relu(residual)
    for shortcut_layers in self.shortcuts:
      x = shortcut_layers(x)
    return functional.relu(x + residual)


class ResNet(nn.Module):
  """A ResNet of torchvision, or for CIFAR if `small`."""

  def __init__(self, depths, bottleneck, small, num_labels, stem_pool):
    super().__init__()
    self.small = small
    self.stem_pool = not small if stem_pool is None else stem_pool
    self.conv1 = (
      _conv(3, 64, 3) if small else nn.Conv2d(3, 64, 7, 2, 3, bias=False)
    )
    self.bn1 = nn.BatchNorm2d(64)
    in_channels = 64
    for block_index, depth in enumerate(depths):
      units = []
      for unit_index in range(depth):
        stride = 2 if block_index and not unit_index else 1
        units.append(
          _Residual(
            in_channels,
            64 * 2**block_index,
            stride,
            bottleneck,
            'shortcut' if small else 'downsample',
          )
        )
        in_channels = 64 * 2**block_index * (4 if bottleneck else 1)
      setattr(self, f'layer{block_index + 1}', nn.Sequential(*units))
    setattr(
      self, 'linear' if small else 'fc', nn.Linear(in_channels, num_labels)
    )

  def blocks(self, x):
    x = functional.relu(self.bn1(self.conv1(x)))
    if self.stem_pool:
      x = functional.max_pool2d(x, 3, 2, 1)
    for block_index in range(1, 5):
      x = getattr(self, f'layer{block_index}')(x)
      yield x

  def head(self, x):
    return (self.linear if self.small else self.fc)(x.mean((2, 3)))


class _WideUnit(nn.Module):
  def __init__(self, in_channels, out_channels, stride):
    super().__init__()
    self.bn1 = nn.BatchNorm2d(in_channels)
    self.conv1 = _conv(in_channels, out_channels, 3, stride)
    self.bn2 = nn.BatchNorm2d(out_channels)
    self.conv2 = _conv(out_channels, out_channels, 3)
    self.convShortcut = (
      None
      if in_channels == out_channels
      else nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
    )

  def forward(self, x):
    activations = functional.relu(self.bn1(x))
    if self.convShortcut is not None:
      x = self.convShortcut(activations)
    return x + self.conv2(functional.relu(self.bn2(self.conv1(activations))))


class WideResNet(nn.Module):
  """A wide ResNet for CIFAR."""

  def __init__(self, num_layers, width_factor, num_labels):
    super().__init__()
    self.conv1 = _conv(3, 16, 3)
    in_channels = 16
    for block_index in range(3):
      width = 16 * 2**block_index * width_factor
      block = nn.Module()
      block.layer = nn.Sequential(
        *(
          _WideUnit(
            width if unit_index else in_channels,
            width,
            2 if block_index and not unit_index else 1,
          )
          for unit_index in range((num_layers - 4) // 6)
        )
      )
      setattr(self, f'block{block_index + 1}', block)
      in_channels = width
    self.bn1 = nn.BatchNorm2d(in_channels)
    self.fc = nn.Linear(in_channels, num_labels)

  def blocks(self, x):
    x = self.block1.layer(self.conv1(x))
    yield x
    x = self.block2.layer(x)
    yield x
    yield functional.relu(self.bn1(self.block3.layer(x)))

  def head(self, x):
    return self.fc(x.mean((2, 3)))


class VGG(nn.Module):
  """VGG-11 with batch norm, for CIFAR."""

  def __init__(self, num_labels):
    super().__init__()
    in_channels = 3
    widths = ((64,), (128,), (256, 256), (512, 512), (512, 512))
    for block_index, block_widths in enumerate(widths):
      layers = []
      for width in block_widths:
        layers += [
          _conv(in_channels, width, 3, use_bias=True),
          nn.BatchNorm2d(width),
          nn.ReLU(),
        ]
        in_channels = width
      setattr(self, f'block{block_index}', nn.Sequential(*layers[:-1]))
    self.classifier = nn.Linear(in_channels, num_labels)

  def blocks(self, x):
    is_large = x.shape[2] == 64
    for block_index in range(5):
      if block_index in (1, 2, 3) or (block_index == 4 and is_large):
        x = functional.max_pool2d(x, 2, 2)
      x = functional.relu(getattr(self, f'block{block_index}')(x))
      yield x

  def head(self, x):
    return self.classifier(x.mean((2, 3)))


class LeNet(nn.Module):
  """LeNet-5."""

  def __init__(self, num_labels):
    super().__init__()
    self.conv1 = nn.Conv2d(1, 6, 5)
    self.conv2 = nn.Conv2d(6, 16, 5)
    self.conv3 = nn.Conv2d(16, 120, 5)
    self.fc1 = nn.Linear(120, 84)
    self.fc2 = nn.Linear(84, num_labels)

  def blocks(self, x):
    for convolution in (self.conv1, self.conv2):
      x = functional.max_pool2d(functional.relu(convolution(x)), 2, 2)
      yield x
    yield functional.relu(self.conv3(x))

  def head(self, x):
    return self.fc2(functional.relu(self.fc1(x.flatten(1))))


_DEPTHS = {
  18: ((2, 2, 2, 2), False),
  34: ((3, 4, 6, 3), False),
  50: ((3, 4, 6, 3), True),
}


def create_net(name, num_labels, stem_pool=None):
  """Makes the net of one of our architectures."""
  if name.startswith('resnet'):
    return ResNet(*_DEPTHS[int(name[6:])], False, num_labels, stem_pool)
  if name.startswith('cifar_resnet'):
    return ResNet(*_DEPTHS[int(name[12:])], True, num_labels, stem_pool)
  if name.startswith('wrn'):
    return WideResNet(*map(int, name.split('_')[1:]), num_labels)
  return {'cifar_vgg11_bn': VGG, 'lenet5': LeNet}[name](num_labels)


def load_state_dict(net, tensors):
  """Loads tensors into a net; only counts of batches may be missing."""
  state = {
    tensor_name: torch.from_numpy(array)
    for tensor_name, array in tensors.items()
  }
  missing, unexpected = net.load_state_dict(state, strict=False)
  assert not unexpected, unexpected
  assert all(
    tensor_name.endswith('num_batches_tracked') for tensor_name in missing
  ), missing
