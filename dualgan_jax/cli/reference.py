"""Writes docs/cli.md: the `--help` of every command.

python -m dualgan_jax.cli.reference > docs/cli.md
"""

import contextlib
import io
import os

from dualgan_jax.cli import main

_PAGE_HEAD = """# Commands

What `dualgan COMMAND --help` prints. [Run experiments](running.md) explains the
commands that train, [use a trained student](student.md) the others."""


def format_page() -> str:
  """Formats the page, with a section for each command."""
  sections = [_PAGE_HEAD, f'```\n{_capture_help()}\n```']
  for name in main.COMMANDS:
    sections.append(f'## dualgan {name}\n\n```\n{_capture_help(name)}\n```')
  return '\n\n'.join(sections)


def _capture_help(*command: str) -> str:
  """Captures what `--help` prints in a terminal of 80 columns."""
  page = io.TextIOWrapper(io.BytesIO(), 'utf-8', write_through=True)
  columns = os.environ.get('COLUMNS')
  os.environ['COLUMNS'] = '80'
  # argparse ends the process after its help.
  with contextlib.redirect_stdout(page), contextlib.suppress(SystemExit):
    main.main([*command, '--help'])
  if columns is None:
    del os.environ['COLUMNS']
  else:
    os.environ['COLUMNS'] = columns
  return page.buffer.getvalue().decode().rstrip()


if __name__ == '__main__':
  print(format_page())
