"""docs/cli.md shows the help of every command."""

import subprocess
import sys

from dualgan_jax.cli import main
from tests.paths import ROOT


def test_the_page_of_commands_is_up_to_date():
  page = (ROOT / 'docs' / 'cli.md').read_text(encoding='utf-8')
  assert all(f'## dualgan {name}\n' in page for name in main.COMMANDS)
  # In a process of its own: other tests define flags of the same names.
  printed = subprocess.run(
    [sys.executable, '-m', 'dualgan_jax.cli.reference'],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
  )
  # Pythons wrap lines of help differently.
  assert page.split() == printed.stdout.split(), (
    'python -m dualgan_jax.cli.reference > docs/cli.md writes it anew'
  )
