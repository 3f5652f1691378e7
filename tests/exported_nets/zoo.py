"""Nets that public repositories train, for the tests of torch.export.

    python -m tests.exported_nets.zoo

prints the table of docs/teachers.md: how far our answers are from PyTorch's.
"""

import collections
import dataclasses
import pathlib
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from dualgan_jax.teachers.torch_export import exported_net
from tests import torch_exports


@dataclasses.dataclass(frozen=True)
class Entry:
  """A net of a repository.

  Attributes:
    repository: where it is trained.
    make: makes it, for 7 labels.
    image_shape: (height, width, channels).
    cut_after: modules to cut after; None to let it choose.
    is_of_library: whether torchvision or timm makes it, in its full size.
  """

  repository: str
  make: Callable[[], Any]
  image_shape: tuple[int, int, int] = (32, 32, 3)
  cut_after: tuple[str, ...] | None = None
  is_of_library: bool = False


def _cifar_nets():
  from tests.exported_nets import cifar

  def resnet(
    unit=cifar.BasicUnit, widths=(16, 24, 32, 40), depths=(2,) * 4, **k
  ):
    return lambda: cifar.CifarResNet(unit, widths, depths, 16, **k)

  def unit(**options):
    return lambda *sizes: cifar.BasicUnit(*sizes, **options)

  def bottleneck(groups=1):
    return lambda in_channels, width, stride: cifar.Bottleneck(
      in_channels, width // 2, width, stride, groups
    )

  def preactivated(gate=False):
    return lambda *sizes: cifar.PreActUnit(*sizes, gate=gate)

  vgg = (16, 'M', 24, 'M', 32, 32, 'M', 40, 40, 'M', 40, 40, 'M')
  kuangliu, weiaicunzai = (
    'kuangliu/pytorch-cifar',
    'weiaicunzai/pytorch-cifar100',
  )
  return {
    'resnet18_cifar': Entry(kuangliu, resnet()),
    'resnet50_cifar': Entry(kuangliu, resnet(bottleneck())),
    'preact_resnet18': Entry(kuangliu, resnet(preactivated())),
    'senet18': Entry(kuangliu, resnet(preactivated(gate=True))),
    'resnext29': Entry(
      kuangliu, resnet(bottleneck(4), (16, 32, 48), (3, 3, 3))
    ),
    'vgg16_cifar': Entry(kuangliu, lambda: cifar.CifarVGG(vgg)),
    'densenet_cifar': Entry(kuangliu, cifar.CifarDenseNet),
    'googlenet_cifar': Entry(kuangliu, cifar.CifarGoogLeNet),
    'mobilenet_cifar': Entry(kuangliu, cifar.CifarMobileNet),
    'mobilenetv2_cifar': Entry(kuangliu, lambda: cifar.CifarInverted(False)),
    'efficientnet_cifar': Entry(kuangliu, lambda: cifar.CifarInverted(True)),
    'shufflenetg2': Entry(kuangliu, cifar.CifarShuffleNet),
    'lenet': Entry(kuangliu, cifar.LeNet),
    'resnet20': Entry(
      'akamaster/pytorch_resnet_cifar10',
      resnet(unit(option='A'), (16, 32, 64), (3, 3, 3)),
    ),
    'resnet56': Entry(
      'akamaster/pytorch_resnet_cifar10',
      resnet(unit(option='A'), (16, 32, 64), (9, 9, 9)),
    ),
    'cifar_resnet20': Entry(
      'chenyaofo/pytorch-cifar-models', resnet(unit(), (16, 32, 64), (3, 3, 3))
    ),
    'cifar_vgg11_bn': Entry(
      'chenyaofo/pytorch-cifar-models',
      lambda: cifar.CifarVGG(vgg, dense=True),
    ),
    'vgg13_plain': Entry(
      'bearpaw/pytorch-classification',
      lambda: cifar.CifarVGG(vgg, batch_norm=False),
    ),
    'preresnet': Entry(
      'bearpaw/pytorch-classification',
      resnet(preactivated(), (16, 32, 64), (2, 2, 2), last_norm=True),
    ),
    'resnet50_100': Entry(
      weiaicunzai, resnet(bottleneck(), depths=(3, 4, 3, 2))
    ),
    'wide_resnet': Entry(
      weiaicunzai,
      resnet(preactivated(), (32, 48, 64), (2, 2, 2), last_norm=True),
    ),
    'simple_cnn': Entry('zj-jayzhang/DENSE', cifar.SmallCNN),
    'mnist_cnn': Entry('pytorch/examples', cifar.DigitsCNN, (28, 28, 1)),
    'lenet5_digits': Entry(
      'pytorch/examples', lambda: cifar.LeNet(1), (32, 32, 1)
    ),
  }


_REPOSITORIES = {
  'torchvision': 'pytorch/vision',
  'timm': 'huggingface/pytorch-image-models',
}


def _library_entry(library, name, size=64, cut_after=None):
  """Makes the entry of a net of torchvision or timm."""

  def make():
    declare_missing_operations()
    if library == 'torchvision':
      import torchvision

      # These would warn that their weights are drawn slowly.
      slow = name in ('googlenet', 'inception_v3')
      options = {'init_weights': False} if slow else {}
      return torchvision.models.get_model(
        name, weights=None, num_classes=7, **options
      )
    import timm

    return timm.create_model(name, num_classes=7)

  return Entry(
    _REPOSITORIES[library],
    make,
    (size, size, 3),
    cut_after,
    is_of_library=True,
  )


_TORCHVISION = (
  *('resnet18', 'resnet50', 'resnext50_32x4d', 'wide_resnet50_2', 'vgg11_bn'),
  *('mobilenet_v2', 'mobilenet_v3_small', 'shufflenet_v2_x1_0', 'densenet121'),
  *('efficientnet_b0', 'squeezenet1_1', 'alexnet', 'googlenet', 'mnasnet1_0'),
  *('regnet_y_400mf', 'convnext_tiny'),
)
_TIMM = (
  *('resnet10t', 'seresnet18', 'ecaresnet26t', 'skresnet18', 'resnest14d'),
  *('res2net50_26w_4s', 'dla34', 'vovnet39a', 'cspresnet50', 'repvgg_a0'),
  *('ghostnet_100', 'mobilenetv4_conv_small', 'tf_efficientnetv2_b0'),
  *('lcnet_050', 'tinynet_e', 'convnext_atto', 'poolformer_s12', 'rexnet_100'),
)


def entries() -> dict[str, Entry]:
  """Lists all nets by name."""
  return {
    **_cifar_nets(),
    **{name: _library_entry('torchvision', name) for name in _TORCHVISION},
    'inception_v3': _library_entry('torchvision', 'inception_v3', 96),
    **{f'timm_{name}': _library_entry('timm', name) for name in _TIMM},
    'timm_vit_tiny_patch16_224': _library_entry(
      *('timm', 'vit_tiny_patch16_224', 224),
      ('patch_embed.proj', 'blocks.11'),
    ),
  }


def declare_missing_operations() -> None:
  """Declares operations of torchvision that a CPU's PyTorch cannot load.

  No classifier uses them; without them, torchvision cannot be imported.
  """
  import torch

  for name in ('nms', 'qnms'):
    if not hasattr(torch.ops.torchvision, name):
      torch.library.define(
        f'torchvision::{name}',
        '(Tensor boxes, Tensor scores, float iou_threshold) -> Tensor',
      )


def compare(entry: Entry, folder: pathlib.Path) -> tuple[float, int, int]:
  """Exports a net, and compares logits and features with PyTorch's.

  Args:
    entry: of the net.
    folder: for the file.

  Returns:
    The largest difference, as a share of the largest number of the tensor that
    it is in; the number of blocks, and that of batch norms.
  """
  import torch

  torch.manual_seed(0)
  net = torch_exports.randomize(entry.make())
  height, width, channels = entry.image_shape
  images = torch.rand(2, channels, height, width)
  path = torch_exports.save(net, images, folder / 'net.pt2')
  exported = exported_net.read(path)
  cuts = exported.choose_cuts(entry.cut_after)
  functions, variables = exported.cut(cuts)
  expected = _features(path, images, [cut.tensor for cut in cuts])
  names = [*(cut.tensor for cut in cuts), exported.graph.logits]
  features = images.numpy().transpose(0, 2, 3, 1)

  @jax.jit
  def run(variables, features):
    outputs = []
    for function, part in zip(functions, variables, strict=True):
      features = function(part, features)
      outputs.append(features)
    return outputs

  largest = 0.0
  outputs = run(variables, features)
  for name, output in zip(names, outputs, strict=True):
    ours, theirs = np.asarray(output), expected[name]
    # Channels are first in most nets of PyTorch, and last in ours.
    if theirs.shape != ours.shape or theirs.ndim == 4:
      cut = next(cut for cut in cuts if cut.tensor == name)
      if cut.layout is exported_net.Layout.CHANNELS_FIRST:
        theirs = theirs.transpose(0, 2, 3, 1)
    assert ours.shape == theirs.shape
    difference = np.abs(ours - theirs).max() / np.abs(theirs).max()
    largest = max(largest, float(difference))
  return largest, len(cuts), exported.count_batch_norms()


def _features(path, images, names):
  """Computes PyTorch's values of some tensors of a file, and its logits."""
  import torch

  module = torch.export.load(path).module()
  values = {}

  class Recorder(torch.fx.Interpreter):
    def run_node(self, node):
      value = super().run_node(node)
      if node.name in names:
        # A later step may change it in place.
        values[node.name] = value.detach().clone().numpy()
      return value

  with torch.no_grad():
    logits = Recorder(module).run(images)
  (logits,) = logits if isinstance(logits, tuple | list) else (logits,)
  output = exported_net.read(path).graph.logits
  return {**values, output: logits.numpy()}


def table(differences: Mapping[str, float]) -> list[str]:
  """Makes the rows of docs/teachers.md: one per repository.

  Args:
    differences: by net, its largest difference.
  """
  names = collections.defaultdict(list)
  for name, entry in entries().items():
    names[entry.repository].append(name)
  return [
    f'| {repository} | {", ".join(nets)} | `torch_export` | '
    f'{max(differences[net] for net in nets):.0e} |'
    for repository, nets in names.items()
  ]


def main() -> None:
  """Prints the table, and on stderr each net's difference."""
  differences = {}
  for name, entry in entries().items():
    with tempfile.TemporaryDirectory() as folder:
      differences[name], *counts = compare(entry, pathlib.Path(folder))
    print(name, *counts, f'{differences[name]:.1e}', file=sys.stderr)
  print('| repository | nets | door | largest difference |')
  print('|---|---|---|---:|')
  print('\n'.join(table(differences)))


if __name__ == '__main__':
  main()
