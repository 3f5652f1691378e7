"""Wide ResNets under the names of xternalz/WideResNet-pytorch."""

from torch import nn
from torch.nn import functional


class _WideUnit(nn.Module):
  def __init__(self, in_channels, out_channels, stride):
    super().__init__()
    self.bn1 = nn.BatchNorm2d(in_channels)
    self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
    self.bn2 = nn.BatchNorm2d(out_channels)
    self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
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
    self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
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
