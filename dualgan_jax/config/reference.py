"""Describes fields in words: for `--help`, and for the page docs/fields.md.

python -m dualgan_jax.config.reference > docs/fields.md
"""

import inspect
import typing
from collections.abc import Iterator
from typing import NamedTuple

from dualgan_jax.config import fields, teacher_groups
from dualgan_jax.config.value_types import Group, Kind

_PAGE_HEAD = """# Fields of a config

Change a field with `--config.FIELD=VALUE`, or in a config file. A field without
a default must be given. `dualgan train --config=digits --help` lists the fields
of a config with their values.
"""
# By its place in a config, each group of fields.
GROUPS: dict[str, type[Group]] = {
  '': fields.Experiment,
  'student': teacher_groups.Net,
  'teachers.NAME': teacher_groups.TrainedTeacher,
  'teachers.NAME, from a weight file': teacher_groups.WeightsTeacher,
  'teachers.NAME, from a file of torch.export': (
    teacher_groups.TorchExportTeacher
  ),
  'teachers.NAME, from a Python file': teacher_groups.ModuleTeacher,
  "teachers.NAME, from a student's folder": teacher_groups.StudentTeacher,
  'teachers.NAME, in memory': teacher_groups.GivenTeacher,
  'data.NAME': fields.DataSet,
  **{
    name: type(field.default)
    for name, field in fields.Experiment.model_fields.items()
    if isinstance(field.default, Group)
  },
}


class Field(NamedTuple):
  """A field in words.

  Attributes:
    name: its name, without its group.
    accepted_values: the kind of values that it takes.
    default: its default as Python writes it; '' if it has none.
    meaning: one sentence.
  """

  name: str
  accepted_values: str
  default: str
  meaning: str


def describe_fields(group: type[Group]) -> Iterator[Field]:
  """Describes the fields of a group, those that are groups left out.

  Args:
    group: one of the classes in `fields`.
  """
  # pydantic drops our annotations; only the type hints still have them.
  type_hints = typing.get_type_hints(group, include_extras=True)
  for field_name, field_info in group.model_fields.items():
    kinds = [
      annotation
      for annotation in getattr(type_hints[field_name], '__metadata__', ())
      if isinstance(annotation, Kind)
    ]
    if kinds:
      is_required = field_info.is_required()
      yield Field(
        field_name,
        kinds[0].words,
        '' if is_required else repr(field_info.default),
        field_info.description or '',
      )


def find_field(field_path: str) -> Field | None:
  """Finds a field by its path in a config.

  Args:
    field_path: such as 'teachers.low.widths'.

  Returns:
    Its description; None if there is no such field.
  """
  group_path, _, field_name = field_path.rpartition('.')
  group_name, _, _ = group_path.partition('.')
  for place, group in GROUPS.items():
    # All kinds of teachers share a place; the first match will do, as
    # fields of one name have one meaning.
    place_name, _, _ = place.partition(',')[0].partition('.')
    if place_name == group_name:
      for field in describe_fields(group):
        if field.name == field_name:
          return field
  return None


def format_page() -> str:
  """Formats the page of all fields, as Markdown."""
  page_lines = [_PAGE_HEAD]
  for place, group in GROUPS.items():
    # A place with a space is words, and no path that could stand in code.
    is_path = place and ' ' not in place
    heading = f'`{place}`' if is_path else place or 'Top'
    page_lines += [
      f'## {heading}',
      '',
      inspect.getdoc(group) or '',
      '',
      '| field | value | default | meaning |',
      '|---|---|---|---|',
    ]
    for field in describe_fields(group):
      default = field.default and f'`{field.default}`'
      page_lines.append(
        f'| `{field.name}` | {field.accepted_values} | {default} '
        f'| {field.meaning} |'
      )
    page_lines.append('')
  return '\n'.join(page_lines).rstrip()


if __name__ == '__main__':
  print(format_page())
