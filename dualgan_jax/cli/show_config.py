"""`dualgan show-config`: the fields that a run of a config will have."""

from collections.abc import Sequence

from dualgan_jax.cli import experiment_flags, launch
from dualgan_jax.config import schema, stage_fields

_USAGE = """usage: {program} --config=NAME [--config.FIELD=VALUE ...]

Checks a config, and prints its fields with their values, one per line.

  --config=NAME         a preset or a Python file, and its variants, as in
                        digits:smoke or mine.py:small,wide
  --config.FIELD=VALUE  change a field, as in --config.generator.steps=500

--config=? lists the presets.
"""


def main(argv: Sequence[str]) -> None:
  """Prints a config's fields.

  Args:
    argv: the program's name and its arguments.
  """
  launch.launch(argv, _show, _USAGE, needs_workdir=False)


def _show() -> str:
  config = schema.check(experiment_flags.CONFIG.value)
  return '\n'.join(
    f'{field} = {value!r}'
    for field, value in stage_fields.flattened(config).items()
  )
