"""Describes fields: for `--help`, and the page docs/fields.md.

python -m dualgan_jax.config.reference > docs/fields.md
"""

import inspect
import typing
from collections.abc import Iterator
from typing import NamedTuple

from dualgan_jax.config import fields
from dualgan_jax.config.value_types import Kind

_HEAD = """# Fields of a config

Change a field with `--config.FIELD=VALUE`, or in a config file. A field without
a default must be given. `dualgan train --config=digits --help` lists the fields
of a config with their values.
"""
# What a group of fields describes, by where it stands in a config.
_GROUPS: dict[str, type[fields.Group]] = {
  '': fields.Experiment,
  'student': fields.Net,
  'teachers.NAME': fields.TrainedTeacher,
  'teachers.NAME, from a weight file': fields.WeightsTeacher,
  'teachers.NAME, from a Python file': fields.ModuleTeacher,
  'teachers.NAME, in memory': fields.GivenTeacher,
  'data.NAME': fields.DataSet,
  'objective': fields.Objective,
  'pretrain': fields.Pretrain,
  'generator': fields.Generator,
  'dual': fields.Dual,
  'targetnet': fields.TargetNet,
  'refine': fields.Refine,
  'baselines': fields.Baselines,
}


class Field(NamedTuple):
  """A field in words.

  Attributes:
    name: without its group.
    values: what it takes.
    default: as Python writes it, or empty if there is none.
    meaning: a sentence.
  """

  name: str
  values: str
  default: str
  meaning: str


def describe(group: type[fields.Group]) -> Iterator[Field]:
  """Describes the fields of a group that are no groups themselves."""
  hints = typing.get_type_hints(group, include_extras=True)
  for name, info in group.model_fields.items():
    kinds = [
      note
      for note in getattr(hints[name], '__metadata__', ())
      if isinstance(note, Kind)
    ]
    if kinds:
      default = '' if info.is_required() else repr(info.default)
      yield Field(name, kinds[0].words, default, info.description or '')


def find(path: str) -> Field | None:
  """Finds a field by its path in a config, like 'teachers.low.widths'."""
  group, _, name = path.rpartition('.')
  part, _, _ = group.partition('.')
  for place, model in _GROUPS.items():
    if place.partition('.')[0].partition(',')[0] == part:
      for field in describe(model):
        if field.name == name:
          return field
  return None


def page() -> str:
  """Writes the page of all fields, as Markdown."""
  lines = [_HEAD]
  for place, model in _GROUPS.items():
    lines += [
      f'## {f"`{place}`" if " " not in place and place else place or "Top"}',
      '',
      inspect.getdoc(model) or '',
      '',
      '| field | value | default | meaning |',
      '|---|---|---|---|',
    ]
    for field in describe(model):
      default = field.default and f'`{field.default}`'
      lines.append(
        f'| `{field.name}` | {field.values} | {default} | {field.meaning} |'
      )
    lines.append('')
  return '\n'.join(lines).rstrip()


if __name__ == '__main__':
  print(page())
