"""Implements `dualgan inspect`: what is understood of a torch.export file."""

from collections.abc import Sequence

from dualgan_jax.cli.arguments import ArgumentParser
from dualgan_jax.stdout import printing
from dualgan_jax.teachers import exported_teacher

_DESCRIPTION = """Shows the net in a file of torch.export: the blocks that it
would be cut into, its batch norms and operations, and how far its logits are
from those that the file has. It needs no PyTorch, and executes nothing of the
file."""


def main(argv: Sequence[str]) -> int:
  """Prints what is understood of a file.

  Args:
    argv: the program's name and its arguments.

  Returns:
    The exit code.

  Raises:
    UserError: the file is damaged, no net that is known, or cannot be cut.
  """
  parser = ArgumentParser(argv[0], description=_DESCRIPTION)
  parser.add_argument(
    'file', metavar='FILE', help='a file of torch.export.save, usually .pt2'
  )
  parser.add_argument(
    '--cut_after',
    default='',
    metavar='MODULE,...',
    help='modules to cut after, like layer1,layer2,layer3',
  )
  arguments = parser.parse_args(argv[1:])
  cut_after = arguments.cut_after.split(',') if arguments.cut_after else None
  net = exported_teacher.read('FILE', arguments.file)
  with printing():
    print('\n'.join(exported_teacher.describe(net, cut_after)))
  return 0
