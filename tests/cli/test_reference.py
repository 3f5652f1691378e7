"""docs/cli.md shows the help of every command."""

from dualgan_jax.cli import main, reference
from tests.paths import ROOT


def test_the_page_of_commands_is_up_to_date():
  page = (ROOT / 'docs' / 'cli.md').read_text(encoding='utf-8')
  assert all(f'## dualgan {name}\n' in page for name in main.COMMANDS)
  # Pythons wrap lines of help differently.
  assert page.split() == reference.format_page().split(), (
    'python -m dualgan_jax.cli.reference > docs/cli.md writes it anew'
  )
