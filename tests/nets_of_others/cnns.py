"""Plain convolutional nets under the names of public repositories."""

from torch import nn
from torch.nn import functional


class LeNet(nn.Module):
  """Two 5×5 convolutions and three dense layers."""

  def __init__(
    self,
    num_channels: int,
    num_labels: int,
    *,
    num_features: int = 400,
    padding: int = 0,
  ):
    super().__init__()
    self.conv1 = nn.Conv2d(num_channels, 6, 5, padding=padding)
    self.conv2 = nn.Conv2d(6, 16, 5)
    self.fc1 = nn.Linear(num_features, 120)
    self.fc2 = nn.Linear(120, 84)
    self.fc3 = nn.Linear(84, num_labels)

  def blocks(self, x):
    for conv in (self.conv1, self.conv2):
      x = functional.max_pool2d(functional.relu(conv(x)), 2)
      yield x

  def head(self, x):
    x = functional.relu(self.fc1(x.flatten(1)))
    return self.fc3(functional.relu(self.fc2(x)))


class DaflLeNet(nn.Module):
  """DAFL's LeNet-5: three 5×5 convolutions and two dense layers."""

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


class ThreeConvolutions(nn.Module):
  """Three 3×3 convolutions, the last without a pooling; one or two layers."""

  def __init__(
    self, widths: tuple[int, int, int], hidden: tuple[int, ...], num_labels: int
  ):
    super().__init__()
    first, second, third = widths
    self.conv1 = nn.Conv2d(3, first, 3)
    self.conv2 = nn.Conv2d(first, second, 3)
    self.conv3 = nn.Conv2d(second, third, 3)
    sizes = (third * 4 * 4, *hidden, num_labels)
    self.num_dense_layers = len(sizes) - 1
    for index in range(self.num_dense_layers):
      layer = nn.Linear(*sizes[index : index + 2])
      setattr(self, f'fc{index + 1}', layer)

  def blocks(self, x):
    for conv in (self.conv1, self.conv2):
      x = functional.max_pool2d(functional.relu(conv(x)), 2, 2)
      yield x
    yield functional.relu(self.conv3(x))

  def head(self, x):
    x = self.fc1(x.flatten(1))
    return self.fc2(functional.relu(x)) if self.num_dense_layers == 2 else x


class DenseMnist(nn.Module):
  """DENSE's net for MNIST: two convolutions with batch norm."""

  def __init__(self, num_labels: int):
    super().__init__()
    for number, (in_channels, width) in enumerate(((1, 16), (16, 32)), start=1):
      layers = (
        nn.Conv2d(in_channels, width, 5, padding=2),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.MaxPool2d(2),
      )
      setattr(self, f'layer{number}', nn.Sequential(*layers))
    self.fc = nn.Linear(7 * 7 * 32, num_labels)

  def blocks(self, x):
    for layer in (self.layer1, self.layer2):
      x = layer(x)
      yield x

  def head(self, x):
    return self.fc(x.flatten(1))


class MnistExample(nn.Module):
  """PyTorch's example for MNIST."""

  def __init__(self, num_labels: int):
    super().__init__()
    self.conv1 = nn.Conv2d(1, 32, 3)
    self.conv2 = nn.Conv2d(32, 64, 3)
    self.fc1 = nn.Linear(9216, 128)
    self.fc2 = nn.Linear(128, num_labels)

  def blocks(self, x):
    x = functional.relu(self.conv1(x))
    yield x
    yield functional.max_pool2d(functional.relu(self.conv2(x)), 2)

  def head(self, x):
    return self.fc2(functional.relu(self.fc1(x.flatten(1))))


class DigitRecognizer(nn.Module):
  """The net of digit-recognizer-py."""

  def __init__(self, num_labels: int):
    super().__init__()
    layers, in_channels = [], 1
    for width in (32, 64, 128):
      layers += [
        nn.Conv2d(in_channels, width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2, 2),
      ]
      in_channels = width
    self.conv_layers = nn.Sequential(*layers)
    self.fc_layers = nn.Sequential(
      nn.Linear(128 * 3 * 3, 256), nn.ReLU(), nn.Linear(256, num_labels)
    )

  def blocks(self, x):
    for start in (0, 3, 6):
      x = self.conv_layers[start : start + 3](x)
      yield x

  def head(self, x):
    return self.fc_layers(x.flatten(1))
