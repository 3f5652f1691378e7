"""`dualgan info`: what a trained student is, and what it answers."""

from collections.abc import Sequence

from dualgan_jax.cli.arguments import ArgumentParser
from dualgan_jax.display import printable
from dualgan_jax.stdout import printing
from dualgan_jax.student.student import Student, load


def main(argv: Sequence[str]) -> int:
  """Prints what a student's folder holds.

  Args:
    argv: the program's name and its arguments.

  Returns:
    The exit code.

  Raises:
    UserError: the folder is no student's.
  """
  parser = ArgumentParser(argv[0], description='Shows what a student answers.')
  parser.add_argument(
    'folder', metavar='FOLDER', help="a run's folder student or branched"
  )
  arguments = parser.parse_args(argv[1:])
  student = load(arguments.folder)
  with printing():
    print(_info(student))
  return 0


def _info(student: Student) -> str:
  net, origin = student.config['net'], student.config['origin']
  lines = [
    f'labels: {", ".join(student.labels)}',
    f'images: {"×".join(map(str, student.image))}, '
    f'{student.config["preparation"]}',
    f'answers: {student.config["answers"]}',
    'net: ' + ', '.join(f'{k} {v}' for k, v in net.items()),
    'origin: ' + ', '.join(f'{k} {v}' for k, v in origin.items()),
  ]
  return '\n'.join(map(printable, lines))
