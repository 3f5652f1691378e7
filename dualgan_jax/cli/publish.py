"""Implements `dualgan publish`: a student's folder as a model repository."""

from collections.abc import Sequence

from dualgan_jax.cli import signals
from dualgan_jax.cli.arguments import ArgumentParser
from dualgan_jax.display import printable
from dualgan_jax.stdout import printing
from dualgan_jax.student import model_repository, student

_DESCRIPTION = """Uploads a trained student to the Hugging Face Hub: to a
private repository, unless --public is given. First log in by 'hf auth
login'."""


def main(argv: Sequence[str]) -> int:
  """Publishes a student's folder.

  Args:
    argv: the program's name and its arguments.

  Returns:
    The exit code.

  Raises:
    UserError: the folder is no student's, or the Hub refuses it.
  """
  signals.exit_on_signals('stopped; the same command starts again')
  parser = ArgumentParser(argv[0], description=_DESCRIPTION)
  parser.add_argument(
    'folder',
    metavar='DIR',
    help="a run, for its student; or a run's folder student or branched",
  )
  parser.add_argument(
    'repository', metavar='OWNER/NAME', help='repository; made if there is none'
  )
  parser.add_argument(
    '--public',
    action='store_true',
    help='let everybody see a repository that is made now',
  )
  arguments = parser.parse_args(argv[1:])
  model_repository.check_repository(arguments.repository, arguments.repository)
  folder = student.find_folder(arguments.folder)
  # What cannot be loaded is of no use to anybody.
  student.load(folder)
  address = model_repository.publish(
    folder, arguments.repository, public=arguments.public
  )
  with printing():
    print(f'published: {printable(address)}')
    print(f'to load it: {model_repository.SCHEME}{arguments.repository}')
  return 0
