"""Nets and files of `torch.export` for tests.

    python -m tests.torch_exports FILE

writes the small file of tests/files with the PyTorch that is installed: run it
in an environment with another version to add that version's file.
"""

import json
import pathlib
import sys
import tempfile
import zipfile
from collections.abc import Callable

import numpy as np

IMAGE = (8, 8, 3)
NUM_LABELS = 5
# By the version of PyTorch that wrote them.
FILES_BY_VERSION = {
  '2.8': 'exported_2_8.pt2',
  '2.9': 'exported_2_9.pt2',
  '2.13': 'exported_2_13.pt2',
}


def create_net():
  """Makes a net with what nets have: shortcuts, in-place steps, a shuffle."""
  import torch
  from torch import nn
  from torch.nn import functional

  class Unit(nn.Module):
    def __init__(self, in_channels, out_channels, stride):
      super().__init__()
      self.conv = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
      self.bn = nn.BatchNorm2d(out_channels)
      self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride)

    def forward(self, x):
      out = self.bn(self.conv(x))
      out += self.shortcut(x)
      return functional.relu(out, inplace=True)

  class Net(nn.Module):
    def __init__(self):
      super().__init__()
      self.stem = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding='same'),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
      )
      self.layer1 = nn.Sequential(Unit(4, 4, 1), Unit(4, 4, 1))
      self.layer2 = nn.Sequential(Unit(4, 6, 2))
      self.pool = nn.AvgPool2d(3, 2, 1, ceil_mode=True)
      self.norm = nn.LayerNorm(6)
      self.dropout = nn.Dropout(0.5)
      self.fc = nn.Linear(54, NUM_LABELS)

    def forward(self, x):
      x = self.layer2(self.layer1(self.stem(x)))
      # A shuffle of channels reads the batch's size.
      n, c, h, w = x.shape
      x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
      left, right = x.chunk(2, 1)
      x = self.pool(torch.cat([torch.sigmoid(left), right], 1))
      x = self.norm(x.permute(0, 2, 3, 1))
      return self.fc(self.dropout(x.flatten(1)))

  return Net()


def randomize(net):
  """Draws running moments, scales and shifts of a net's batch norms."""
  import torch

  for module in net.modules():
    if getattr(module, 'running_mean', None) is not None:
      torch.nn.init.normal_(module.running_mean, 0, 0.2)
      torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
      if module.weight is not None:
        torch.nn.init.uniform_(module.weight, 0.5, 1.5)
        torch.nn.init.normal_(module.bias, 0, 0.2)
  return net.eval()


def save(net, images, path, **options):
  """Writes a file as docs/teachers.md says, with the logits of its example."""
  import torch

  with torch.no_grad():
    logits = json.dumps(net(images).tolist())
  exported = torch.export.export(
    net.eval(),
    (images,),
    **{'dynamic_shapes': ({0: torch.export.Dim('n')},), **options},
  )
  torch.export.save(exported, path, extra_files={'logits.json': logits})
  return path


def changed_copy(
  source, path, changes: dict[str, Callable[[bytes], bytes | None]]
):
  """Copies an archive, with other bytes in some of its members.

  Args:
    source: of the original.
    path: of the copy.
    changes: by a member's name without its folder, a function of its bytes;
      the member is left out where it returns None.
  """
  with zipfile.ZipFile(source) as original, zipfile.ZipFile(path, 'w') as copy:
    for info in original.infolist():
      content = original.read(info)
      change = changes.get(info.filename.partition('/')[2])
      content = change(content) if change else content
      if content is not None:
        copy.writestr(info.filename, content)
  return path


def changed_json(change):
  """Makes a change of a member's bytes from one of its JSON, in place."""

  def change_bytes(content):
    value = json.loads(content)
    change(value)
    return json.dumps(value, separators=(',', ':')).encode()

  return change_bytes


def main() -> None:
  """Writes the small file."""
  import torch

  torch.manual_seed(0)
  net = randomize(create_net())
  images = torch.from_numpy(
    np.random.default_rng(0).random((2, 3, 8, 8), np.float32)
  )
  # Lines of code make most of such a file, and are of no use to a test.
  with tempfile.TemporaryDirectory() as folder:
    path = save(net, images, pathlib.Path(folder) / 'exported.pt2')
    changed_copy(
      path, sys.argv[1], {'models/model.json': changed_json(_drop_lines)}
    )


def _drop_lines(program):
  for node in program['graph_module']['graph']['nodes']:
    for key in ('stack_trace', 'torch_fn'):
      node['metadata'].pop(key, None)


if __name__ == '__main__':
  main()
