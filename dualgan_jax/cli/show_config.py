"""Implements `dualgan show-config`: the fields of a config."""

from collections.abc import Sequence

from dualgan_jax.cli import experiment_flags, help_pages, launch
from dualgan_jax.config import schema, stage_fields

_USAGE = f"""usage: {{program}} --config=NAME [--config.FIELD=VALUE ...]

Checks a config, and prints its fields with their values, one per line.

{help_pages.CONFIG_FLAGS}
{help_pages.CONFIG_NOTES}"""


def main(argv: Sequence[str]) -> None:
  """Prints a config's fields.

  Args:
    argv: the program's name and its arguments.
  """
  launch.launch(argv, _format_config, _USAGE, needs_workdir=False)


def _format_config() -> str:
  """Formats all fields, those that the config leaves out included."""
  config = schema.check(experiment_flags.CONFIG.value)
  return '\n'.join(
    f'{field_path} = {value!r}'
    for field_path, value in stage_fields.flatten_fields(config).items()
  )
