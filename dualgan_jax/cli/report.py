"""Implements `dualgan report`: finished runs and seeds in one page."""

import pathlib
from collections.abc import Sequence

from dualgan_jax.cli.arguments import ArgumentParser
from dualgan_jax.display import printable
from dualgan_jax.errors import UserError, first_line
from dualgan_jax.experiment import results
from dualgan_jax.reporting import comparison, report
from dualgan_jax.stdout import printing

_DESCRIPTION = """Compares finished runs, and the seeds of a sweep, in one page:
a chart and a table. Nothing is trained or measured."""

# Entries of `results.json` that name a run.
_NAMES = {'experiment', 'objective', 'seed'}


def main(argv: Sequence[str]) -> int:
  """Writes the page, and prints its path.

  Args:
    argv: the program's name and its arguments.

  Returns:
    The exit code.

  Raises:
    UserError: a folder has no results, or the page cannot be written.
  """
  parser = ArgumentParser(argv[0], description=_DESCRIPTION)
  parser.add_argument(
    'folders',
    nargs='+',
    metavar='DIR',
    help='folder of a run, or of a sweep, for all runs in it',
  )
  parser.add_argument(
    '--output',
    default=comparison.NAME,
    metavar='FILE',
    help=f'the page to write; {comparison.NAME} by default',
  )
  arguments = parser.parse_args(argv[1:])
  runs = [
    _read_run(folder)
    for root in arguments.folders
    for folder in _find_runs(pathlib.Path(root))
  ]
  try:
    comparison.write(pathlib.Path(arguments.output), runs)
  except OSError as error:
    raise UserError(
      f'--output: {printable(arguments.output)} cannot be written '
      f'({error.strerror}); name another file.'
    ) from error
  with printing():
    print(printable(arguments.output))
  return 0


def _find_runs(root: pathlib.Path) -> list[pathlib.Path]:
  """Finds the folders of runs: the folder itself, or those of a sweep.

  Raises:
    UserError: there are none.
  """
  if (root / 'results.json').exists():
    return [root]
  # FIELD=VALUE/seed-0, or seed-0 of a sweep over seeds only.
  files = [*root.glob('*/results.json'), *root.glob('*/*/results.json')]
  if not files:
    raise UserError(
      f'{printable(root)}: no results.json there; name the folder of a '
      'finished run, or of a sweep.'
    )
  return [file.parent for file in sorted(files)]


def _read_run(folder: pathlib.Path) -> comparison.Run:
  """Reads the results of a run.

  Raises:
    UserError: they are damaged.
  """
  try:
    run_results = results.read(folder)
    # It reads all that the page does.
    report.results_table(run_results)
    if missing := _NAMES - {*run_results}:
      raise ValueError(f'no {min(missing)}')
  # The file may hold anything, so a table may fail in any way.
  except Exception as error:
    raise UserError(
      f'{printable(folder)}: results.json is damaged '
      f'({printable(first_line(error))}); run `dualgan train` there again.'
    ) from error
  return comparison.Run(str(_name_group(folder)), run_results)


def _name_group(folder: pathlib.Path) -> pathlib.Path:
  """Returns the part of a run's path that its seeds share."""
  return folder.parent if folder.name.startswith('seed-') else folder
