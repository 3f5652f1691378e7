"""Parses the arguments of commands that have no config."""

import argparse
import sys
from typing import NoReturn


class ArgumentParser(argparse.ArgumentParser):
  """An `argparse.ArgumentParser` whose errors are one sentence."""

  def error(self, message: str) -> NoReturn:
    """Prints one sentence on stderr, and exits with code 2.

    Args:
      message: what argparse found wrong, without a full stop.

    Raises:
      SystemExit: always.
    """
    # argparse itself would print the whole usage before the message.
    print(f'error: {message}; see {self.prog} --help.', file=sys.stderr)
    sys.exit(2)


def positive_integer(text: str) -> int:
  """Parses an argument of digits, as the `type` of an argument.

  Raises:
    argparse.ArgumentTypeError: it is not, or is 0.
  """
  if not text.isdecimal() or int(text) < 1:
    raise argparse.ArgumentTypeError(f'{text}, but it must be 1 or more')
  return int(text)
