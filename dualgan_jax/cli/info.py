"""Implements `dualgan info`: a summary of a trained student."""

from collections.abc import Mapping, Sequence
from typing import Any

from dualgan_jax.cli.arguments import ArgumentParser
from dualgan_jax.display import format_shape, printable
from dualgan_jax.stdout import printing
from dualgan_jax.student.student import Student, load

_DESCRIPTION = """Shows the labels of a trained student, the images that it
takes, its net, and the experiment that it comes from."""


def main(argv: Sequence[str]) -> int:
  """Prints a summary of a student's folder.

  Args:
    argv: the program's name and its arguments.

  Returns:
    The exit code.

  Raises:
    UserError: the folder is no student's.
  """
  parser = ArgumentParser(argv[0], description=_DESCRIPTION)
  parser.add_argument(
    'folder',
    metavar='FOLDER',
    help="a run, for its student; a run's folder student or branched; or "
    'hf://owner/name[@revision] of the Hugging Face Hub',
  )
  arguments = parser.parse_args(argv[1:])
  loaded_student = load(arguments.folder)
  with printing():
    print(_format_summary(loaded_student))
  return 0


def _format_summary(student: Student) -> str:
  """Formats a student's config, one line per group of facts."""
  student_config = student.config
  summary_lines = [
    f'labels: {", ".join(student.labels)}',
    f'images: {format_shape(student.image_shape)}, '
    f'{student_config["preparation"]}',
    f'answers: {student_config["answers"]}',
    f'net: {_format_facts(student_config["net"])}',
    f'origin: {_format_facts(student_config["origin"])}',
  ]
  # A student may come from anybody, and its texts hold escape sequences.
  return '\n'.join(map(printable, summary_lines))


def _format_facts(facts: Mapping[str, Any]) -> str:
  return ', '.join(f'{fact_name} {value}' for fact_name, value in facts.items())
