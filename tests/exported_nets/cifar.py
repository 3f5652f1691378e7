"""Nets for CIFAR and digits, built as public repositories build them."""

import torch
from torch import nn
from torch.nn import functional

NUM_LABELS = 7


def _conv(in_channels, out_channels, size, stride=1, groups=1, bias=False):
  """Makes a convolution that keeps the size, but for its stride."""
  return nn.Conv2d(
    in_channels, out_channels, size, stride, size // 2, groups=groups, bias=bias
  )


def _conv_bn_relu(*arguments, **options):
  convolution = _conv(*arguments, **options)
  return nn.Sequential(
    convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True)
  )


class BasicUnit(nn.Module):
  """A unit of two convolutions; its shortcut is one of three kinds."""

  def __init__(self, in_channels, channels, stride, option='B', groups=1):
    super().__init__()
    self.conv1 = _conv(in_channels, channels, 3, stride)
    self.bn1 = nn.BatchNorm2d(channels)
    self.conv2 = _conv(channels, channels, 3, groups=groups)
    self.bn2 = nn.BatchNorm2d(channels)
    self.shortcut = nn.Sequential()
    self.option = option
    self.channels = channels
    if option == 'B' and (stride != 1 or in_channels != channels):
      self.shortcut = nn.Sequential(
        _conv(in_channels, channels, 1, stride), nn.BatchNorm2d(channels)
      )

  def forward(self, x):
    out = functional.relu(self.bn1(self.conv1(x)))
    out = self.bn2(self.conv2(out))
    if self.option == 'A' and out.shape != x.shape:
      # Zeros for new channels, every second pixel.
      x = functional.pad(
        x[:, :, ::2, ::2],
        (0, 0, 0, 0, self.channels // 4, self.channels // 4),
        'constant',
        0,
      )
    out += self.shortcut(x)
    return functional.relu(out)


class PreActUnit(nn.Module):
  """A unit whose norms stand before its convolutions, with a gate or not."""

  def __init__(self, in_channels, channels, stride, gate=False):
    super().__init__()
    self.bn1 = nn.BatchNorm2d(in_channels)
    self.conv1 = _conv(in_channels, channels, 3, stride)
    self.bn2 = nn.BatchNorm2d(channels)
    self.conv2 = _conv(channels, channels, 3)
    if stride != 1 or in_channels != channels:
      self.shortcut = nn.Sequential(
        nn.Conv2d(in_channels, channels, 1, stride, bias=False)
      )
    if gate:
      self.fc1 = nn.Conv2d(channels, channels // 16, 1)
      self.fc2 = nn.Conv2d(channels // 16, channels, 1)

  def forward(self, x):
    out = functional.relu(self.bn1(x))
    shortcut = self.shortcut(out) if hasattr(self, 'shortcut') else x
    out = self.conv1(out)
    out = self.conv2(functional.relu(self.bn2(out)))
    if hasattr(self, 'fc1'):
      weights = functional.avg_pool2d(out, out.size(2))
      weights = self.fc2(functional.relu(self.fc1(weights))).sigmoid()
      out = out * weights
    out += shortcut
    return out


class Bottleneck(nn.Module):
  """A unit of three convolutions, the second perhaps in groups."""

  def __init__(self, in_channels, width, out_channels, stride, groups=1):
    super().__init__()
    self.residual_function = nn.Sequential(
      _conv(in_channels, width, 1),
      nn.BatchNorm2d(width),
      nn.ReLU(inplace=True),
      _conv(width, width, 3, stride, groups=groups),
      nn.BatchNorm2d(width),
      nn.ReLU(inplace=True),
      _conv(width, out_channels, 1),
      nn.BatchNorm2d(out_channels),
    )
    self.shortcut = nn.Sequential()
    if stride != 1 or in_channels != out_channels:
      self.shortcut = nn.Sequential(
        _conv(in_channels, out_channels, 1, stride),
        nn.BatchNorm2d(out_channels),
      )

  def forward(self, x):
    return nn.ReLU(inplace=True)(self.residual_function(x) + self.shortcut(x))


class CifarResNet(nn.Module):
  """A stem, some stages of units, and a mean of features."""

  def __init__(self, make_unit, widths, depths, stem_width, last_norm=False):
    super().__init__()
    self.conv1 = _conv(3, stem_width, 3)
    self.bn1 = nn.BatchNorm2d(stem_width)
    in_channels, self.num_stages = stem_width, len(widths)
    for index, (width, depth) in enumerate(zip(widths, depths, strict=True)):
      units = []
      for number in range(depth):
        stride = 2 if index and not number else 1
        units.append(make_unit(in_channels, width, stride))
        in_channels = width
      setattr(self, f'layer{index + 1}', nn.Sequential(*units))
    self.last_norm = nn.BatchNorm2d(in_channels) if last_norm else None
    self.linear = nn.Linear(in_channels, NUM_LABELS)

  def forward(self, x):
    out = functional.relu(self.bn1(self.conv1(x)))
    for index in range(self.num_stages):
      out = getattr(self, f'layer{index + 1}')(out)
    if self.last_norm is not None:
      out = functional.relu(self.last_norm(out))
    out = functional.avg_pool2d(out, out.size()[3])
    return self.linear(out.view(out.size(0), -1))


class CifarVGG(nn.Module):
  """Convolutions and pools in one list, from a table."""

  def __init__(self, table, batch_norm=True, dense=False):
    super().__init__()
    layers, in_channels = [], 3
    for entry in table:
      if entry == 'M':
        layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
      else:
        layers.append(nn.Conv2d(in_channels, entry, 3, padding=1))
        if batch_norm:
          layers.append(nn.BatchNorm2d(entry))
        layers.append(nn.ReLU(inplace=True))
        in_channels = entry
    layers.append(nn.AvgPool2d(kernel_size=1, stride=1))
    self.features = nn.Sequential(*layers)
    self.classifier = (
      nn.Sequential(
        nn.Dropout(),
        nn.Linear(in_channels, 64),
        nn.ReLU(True),
        nn.Dropout(),
        nn.Linear(64, NUM_LABELS),
      )
      if dense
      else nn.Linear(in_channels, NUM_LABELS)
    )

  def forward(self, x):
    out = self.features(x)
    return self.classifier(out.view(out.size(0), -1))


class CifarDenseNet(nn.Module):
  """Dense blocks of bottlenecks, and transitions."""

  class Unit(nn.Module):
    def __init__(self, in_channels, growth):
      super().__init__()
      self.bn1 = nn.BatchNorm2d(in_channels)
      self.conv1 = _conv(in_channels, 4 * growth, 1)
      self.bn2 = nn.BatchNorm2d(4 * growth)
      self.conv2 = _conv(4 * growth, growth, 3)

    def forward(self, x):
      out = self.conv1(functional.relu(self.bn1(x)))
      out = self.conv2(functional.relu(self.bn2(out)))
      return torch.cat([out, x], 1)

  class Transition(nn.Module):
    def __init__(self, in_channels, out_channels):
      super().__init__()
      self.bn = nn.BatchNorm2d(in_channels)
      self.conv = _conv(in_channels, out_channels, 1)

    def forward(self, x):
      return functional.avg_pool2d(self.conv(functional.relu(self.bn(x))), 2)

  def __init__(self, depths=(3, 3, 3, 3), growth=8):
    super().__init__()
    channels = 2 * growth
    self.conv1 = _conv(3, channels, 3)
    self.num_stages = len(depths)
    for index, depth in enumerate(depths):
      units = [self.Unit(channels + growth * i, growth) for i in range(depth)]
      channels += growth * depth
      setattr(self, f'dense{index + 1}', nn.Sequential(*units))
      if index + 1 < self.num_stages:
        transition = self.Transition(channels, channels // 2)
        setattr(self, f'trans{index + 1}', transition)
        channels //= 2
    self.bn = nn.BatchNorm2d(channels)
    self.linear = nn.Linear(channels, NUM_LABELS)

  def forward(self, x):
    out = self.conv1(x)
    for index in range(1, self.num_stages):
      out = getattr(self, f'dense{index}')(out)
      out = getattr(self, f'trans{index}')(out)
    out = getattr(self, f'dense{self.num_stages}')(out)
    out = functional.avg_pool2d(functional.relu(self.bn(out)), 4)
    return self.linear(out.view(out.size(0), -1))


class CifarGoogLeNet(nn.Module):
  """Modules of four branches each, of which some have max pools."""

  class Inception(nn.Module):
    def __init__(self, in_channels, widths):
      super().__init__()
      self.b1 = _conv_bn_relu(in_channels, widths[0], 1, bias=True)
      self.b2 = nn.Sequential(
        _conv_bn_relu(in_channels, widths[1], 1, bias=True),
        _conv_bn_relu(widths[1], widths[1], 3, bias=True),
      )
      self.b3 = nn.Sequential(
        _conv_bn_relu(in_channels, widths[2], 1, bias=True),
        _conv_bn_relu(widths[2], widths[2], 3, bias=True),
        _conv_bn_relu(widths[2], widths[2], 3, bias=True),
      )
      self.b4 = nn.Sequential(
        nn.MaxPool2d(3, stride=1, padding=1),
        _conv_bn_relu(in_channels, widths[3], 1, bias=True),
      )

    def forward(self, x):
      return torch.cat([self.b1(x), self.b2(x), self.b3(x), self.b4(x)], 1)

  def __init__(self):
    super().__init__()
    self.pre_layers = _conv_bn_relu(3, 24, 3, bias=True)
    self.a3 = self.Inception(24, (8, 12, 4, 4))
    self.b3 = self.Inception(28, (12, 16, 8, 8))
    self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
    self.a4 = self.Inception(44, (16, 16, 8, 8))
    self.b4 = self.Inception(48, (16, 16, 8, 8))
    self.a5 = self.Inception(48, (16, 24, 8, 8))
    self.avgpool = nn.AvgPool2d(8, stride=1)
    self.linear = nn.Linear(56, NUM_LABELS)

  def forward(self, x):
    out = self.b3(self.a3(self.pre_layers(x)))
    out = self.b4(self.a4(self.maxpool(out)))
    out = self.avgpool(self.a5(self.maxpool(out)))
    return self.linear(out.view(out.size(0), -1))


class CifarMobileNet(nn.Module):
  """Depthwise and pointwise convolutions in turn."""

  class Unit(nn.Module):
    def __init__(self, in_channels, out_channels, stride=1):
      super().__init__()
      self.conv1 = _conv(in_channels, in_channels, 3, stride, in_channels)
      self.bn1 = nn.BatchNorm2d(in_channels)
      self.conv2 = _conv(in_channels, out_channels, 1)
      self.bn2 = nn.BatchNorm2d(out_channels)

    def forward(self, x):
      out = functional.relu(self.bn1(self.conv1(x)))
      return functional.relu(self.bn2(self.conv2(out)))

  def __init__(self):
    super().__init__()
    self.conv1 = _conv(3, 16, 3)
    self.bn1 = nn.BatchNorm2d(16)
    units, in_channels = [], 16
    for entry in (24, (32, 2), 32, (48, 2), 48, (64, 2), 64, (80, 2), 80):
      width, stride = entry if isinstance(entry, tuple) else (entry, 1)
      units.append(self.Unit(in_channels, width, stride))
      in_channels = width
    self.layers = nn.Sequential(*units)
    self.linear = nn.Linear(in_channels, NUM_LABELS)

  def forward(self, x):
    out = self.layers(functional.relu(self.bn1(self.conv1(x))))
    out = functional.avg_pool2d(out, 2)
    return self.linear(out.view(out.size(0), -1))


class InvertedUnit(nn.Module):
  """Expansion, depthwise convolution and projection, with a gate or not."""

  def __init__(
    self, in_channels, out_channels, stride, expansion=6, size=3, gate=False
  ):
    super().__init__()
    width = in_channels * expansion
    self.stride, self.is_same = stride, in_channels == out_channels
    self.conv1 = _conv(in_channels, width, 1)
    self.bn1 = nn.BatchNorm2d(width)
    self.conv2 = _conv(width, width, size, stride, width)
    self.bn2 = nn.BatchNorm2d(width)
    if gate:
      self.se1 = nn.Conv2d(width, in_channels, 1)
      self.se2 = nn.Conv2d(in_channels, width, 1)
    self.conv3 = _conv(width, out_channels, 1)
    self.bn3 = nn.BatchNorm2d(out_channels)
    self.shortcut = nn.Sequential()
    if stride == 1 and not self.is_same and not gate:
      self.shortcut = nn.Sequential(
        _conv(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels)
      )
    self.has_shortcut = stride == 1 and (self.is_same or not gate)

  def _activate(self, x):
    return x * x.sigmoid() if hasattr(self, 'se1') else functional.relu(x)

  def forward(self, x):
    out = self._activate(self.bn1(self.conv1(x)))
    out = self._activate(self.bn2(self.conv2(out)))
    if hasattr(self, 'se1'):
      weights = functional.adaptive_avg_pool2d(out, (1, 1))
      weights = self.se2(self._activate(self.se1(weights))).sigmoid()
      out = out * weights
    out = self.bn3(self.conv3(out))
    return out + self.shortcut(x) if self.has_shortcut else out


class CifarInverted(nn.Module):
  """MobileNetV2 for CIFAR, or EfficientNet with gates."""

  def __init__(self, gate):
    super().__init__()
    self.conv1 = _conv(3, 16, 3)
    self.bn1 = nn.BatchNorm2d(16)
    units, in_channels = [], 16
    for width, stride, size in (
      *((12, 1, 3), (16, 1, 3), (16, 1, 3), (24, 2, 5), (24, 1, 5)),
      *((32, 2, 3), (32, 1, 3), (40, 2, 5)),
    ):
      units.append(
        InvertedUnit(in_channels, width, stride, 3, size if gate else 3, gate)
      )
      in_channels = width
    self.layers = nn.Sequential(*units)
    self.conv2 = _conv(in_channels, 96, 1)
    self.bn2 = nn.BatchNorm2d(96)
    self.linear = nn.Linear(96, NUM_LABELS)

  def forward(self, x):
    out = self.layers(functional.relu(self.bn1(self.conv1(x))))
    out = functional.relu(self.bn2(self.conv2(out)))
    out = functional.adaptive_avg_pool2d(out, 1)
    out = out.view(out.size(0), -1)
    return self.linear(functional.dropout(out, 0.2, training=self.training))


class CifarShuffleNet(nn.Module):
  """Convolutions in groups whose channels are shuffled, the first version."""

  class Unit(nn.Module):
    def __init__(self, in_channels, out_channels, stride, groups):
      super().__init__()
      self.stride, self.groups = stride, groups
      width = out_channels // 4
      if stride == 2:
        out_channels -= in_channels
      self.conv1 = _conv(in_channels, width, 1, groups=groups)
      self.bn1 = nn.BatchNorm2d(width)
      self.conv2 = _conv(width, width, 3, stride, groups=width)
      self.bn2 = nn.BatchNorm2d(width)
      self.conv3 = _conv(width, out_channels, 1, groups=groups)
      self.bn3 = nn.BatchNorm2d(out_channels)

    def forward(self, x):
      out = functional.relu(self.bn1(self.conv1(x)))
      n, c, h, w = out.size()
      out = out.view(n, self.groups, c // self.groups, h, w)
      out = out.permute(0, 2, 1, 3, 4).reshape(n, c, h, w)
      out = functional.relu(self.bn2(self.conv2(out)))
      out = self.bn3(self.conv3(out))
      if self.stride == 2:
        x = functional.avg_pool2d(x, 3, stride=2, padding=1)
        return functional.relu(torch.cat([out, x], 1))
      return functional.relu(out + x)

  def __init__(self):
    super().__init__()
    self.conv1 = _conv(3, 24, 1)
    self.bn1 = nn.BatchNorm2d(24)
    self.layer1 = nn.Sequential(
      self.Unit(24, 64, 2, 2), self.Unit(64, 64, 1, 2)
    )
    self.layer2 = nn.Sequential(
      self.Unit(64, 128, 2, 2), self.Unit(128, 128, 1, 2)
    )
    self.linear = nn.Linear(128, NUM_LABELS)

  def forward(self, x):
    out = functional.relu(self.bn1(self.conv1(x)))
    out = self.layer2(self.layer1(out))
    out = functional.avg_pool2d(out, 8)
    return self.linear(out.flatten(1))


class SmallCNN(nn.Module):
  """Three convolutions of 128 channels, as federated learners take."""

  def __init__(self, width=32):
    super().__init__()
    self.features = nn.Sequential(
      *(
        layer
        for in_channels in (3, width, width)
        for layer in (
          nn.Conv2d(in_channels, width, 3, 1, 1),
          nn.BatchNorm2d(width),
          nn.ReLU(),
          nn.MaxPool2d(2, 2),
        )
      )
    )
    self.fc = nn.Linear(width * 16, NUM_LABELS)

  def forward(self, x):
    return self.fc(self.features(x).view(-1, self.fc.in_features))


class LeNet(nn.Module):
  """LeNet-5 in functions, with pools that are no modules."""

  def __init__(self, in_channels=3):
    super().__init__()
    self.conv1 = nn.Conv2d(in_channels, 6, 5)
    self.conv2 = nn.Conv2d(6, 16, 5)
    self.fc1 = nn.Linear(16 * 5 * 5, 120)
    self.fc2 = nn.Linear(120, NUM_LABELS)

  def forward(self, x):
    out = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
    out = functional.max_pool2d(torch.tanh(self.conv2(out)), 2)
    out = functional.relu(self.fc1(torch.flatten(out, 1)))
    return functional.log_softmax(self.fc2(out), dim=1)


class DigitsCNN(nn.Module):
  """Two convolutions without padding, a pool, and dropout."""

  def __init__(self):
    super().__init__()
    self.conv1 = nn.Conv2d(1, 8, 3, 1)
    self.conv2 = nn.Conv2d(8, 16, 3, 1)
    self.dropout1 = nn.Dropout(0.25)
    self.dropout2 = nn.Dropout2d(0.5)
    self.fc1 = nn.Linear(16 * 144, 32)
    self.fc2 = nn.Linear(32, NUM_LABELS)

  def forward(self, x):
    x = functional.relu(self.conv2(functional.relu(self.conv1(x))))
    x = self.dropout2(functional.max_pool2d(x, 2))
    x = self.dropout1(functional.relu(self.fc1(torch.flatten(x, 1))))
    return functional.log_softmax(self.fc2(x), dim=1)
