"""Parsing the arguments of commands that have no config."""

import argparse
import sys
from typing import NoReturn


class ArgumentParser(argparse.ArgumentParser):
  """An `argparse.ArgumentParser` whose errors are one sentence."""

  def error(self, message: str) -> NoReturn:
    """Leaves with exit code 2, and a line on stderr."""
    print(f'error: {message}; see {self.prog} --help.', file=sys.stderr)
    sys.exit(2)
