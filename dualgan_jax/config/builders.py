"""Builds configs: groups of fields, each with its default values."""

import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

import ml_collections
from ml_collections import config_dict

from dualgan_jax.config import renamed_fields
from dualgan_jax.config.fields import DataSet, Experiment
from dualgan_jax.config.teacher_groups import (
  GivenTeacher,
  ModuleTeacher,
  Net,
  StudentTeacher,
  TorchExportTeacher,
  TrainedTeacher,
  WeightsTeacher,
)
from dualgan_jax.config.value_types import Group
from dualgan_jax.errors import UserError, first_line


def get_config() -> ml_collections.ConfigDict:
  """Builds a config; experiment, image, labels and nets are still missing."""
  return ml_collections.ConfigDict(_default_values(Experiment))


def data_set(source: str, **changes: Any) -> dict[str, Any]:
  """Builds a named set of `config.data`.

  Args:
    source: its name on the Hugging Face Hub, 'scikit-learn/digits', or
      'PASCAL/VOC2007', which is read from `path` only.
    **changes: fields of `fields.DataSet` that differ from their defaults.
  """
  return {**_default_values(DataSet), 'source': source, **changes}


def conv(
  widths: tuple[int, ...], strides: tuple[int, ...], **changes: Any
) -> dict[str, Any]:
  """Builds a net of convolutions with batch norm, one per block by default.

  Args:
    widths: channels of each block.
    strides: stride of each block.
    **changes: fields of `teacher_groups.Net` that differ from their defaults.
  """
  return {
    **_default_values(Net),
    'kind': 'conv',
    'widths': widths,
    'depths': (1,) * len(widths),
    'strides': strides,
    **changes,
  }


def teacher(
  labels: tuple[str, ...], data: str, net: dict[str, Any], **changes: Any
) -> dict[str, Any]:
  """Builds a teacher that stage `pretrain` trains.

  Args:
    labels: labels that it answers, in the order of its logits.
    data: name of the set of `config.data` that it is trained on.
    net: fields of its net, as `conv` builds them.
    **changes: fields of `teacher_groups.TrainedTeacher` that differ from their
      defaults.
  """
  default_values = _default_values(TrainedTeacher)
  return {**default_values, 'labels': labels, 'data': data, **net, **changes}


def weights(architecture: str, address: str, **changes: Any) -> dict[str, Any]:
  """Builds a teacher from a PyTorch weight file.

  Args:
    architecture: one of `dualgan_jax.networks.architectures.ARCHITECTURES`.
    address: address of its weight file: a path, or hf://owner/name[/file].
    **changes: fields of `teacher_groups.WeightsTeacher` that differ from their
      defaults, and 'labels', in the order of its logits.
  """
  return {
    **_default_values(WeightsTeacher),
    'architecture': architecture,
    'weights': address,
    **changes,
  }


def torch_export(address: str, **changes: Any) -> dict[str, Any]:
  """Builds a teacher from a file of `torch.export`.

  Args:
    address: address of the file: a path, or hf://owner/name/file.
    **changes: fields of `fields.TorchExportTeacher` that differ from their
      defaults, and 'labels', in the order of its logits.
  """
  return {
    **_default_values(TorchExportTeacher),
    'torch_export': address,
    **changes,
  }


def module(path: str) -> dict[str, Any]:
  """Builds a teacher that a Python file makes (`experiments/flax_teacher.py`).

  Args:
    path: path of the file.
  """
  return {**_default_values(ModuleTeacher), 'module': path}


def student(folder: str, **changes: Any) -> dict[str, Any]:
  """Builds a teacher of a student's folder.

  Args:
    folder: `DIR/student` of a run, or a copy of it.
    **changes: fields of `teacher_groups.StudentTeacher` that differ from their
      defaults.
  """
  return {**_default_values(StudentTeacher), 'student': folder, **changes}


def given(**changes: Any) -> dict[str, Any]:
  """Builds a teacher in memory: `run(config, ..., teachers={NAME: ...})`.

  Args:
    **changes: fields of `teacher_groups.GivenTeacher` that differ from their
      defaults.
  """
  return {**_default_values(GivenTeacher), 'given': True, **changes}


def _default_values(group: type[Group]) -> dict[str, Any]:
  """Collects the default values of a group, as a config holds them."""
  # A ConfigDict takes dicts, and turns them into groups of its own.
  default_values = {}
  for field_name, field_info in group.model_fields.items():
    default = field_info.default
    # The config has to give it.
    if field_info.is_required():
      continue
    if isinstance(default, Group):
      default_values[field_name] = _default_values(type(default))
    elif default is None:
      # ConfigDict takes no value from the command line for a plain None.
      default_values[field_name] = config_dict.placeholder(
        _type_besides_none(field_info.annotation)
      )
    else:
      default_values[field_name] = default
  return default_values


def _type_besides_none(annotation: Any) -> type:
  """Finds `tuple` in `tuple[int, ...] | None`."""
  # Overrides are parsed by type: 'tuple' is all that they can use.
  (alternative,) = set(typing.get_args(annotation)) - {types.NoneType}
  return typing.get_origin(alternative) or alternative


def changed(
  config: ml_collections.ConfigDict,
  fields: Mapping[str, Any],
  prefix: str = '',
) -> ml_collections.ConfigDict:
  """Copies a config, and changes fields of the copy.

  Args:
    config: the config, which stays as it is.
    fields: new values by path: {'generator.steps': 100}.
    prefix: start of the error messages, such as a flag and a colon.

  Returns:
    The changed copy.

  Raises:
    UserError: the config lacks a field, or a value has the wrong type.
  """
  # Locked, so that a misspelled field is an error here and adds none.
  config_copy = config.copy_and_resolve_references().lock()
  for field, value in renamed_fields.rename_flat(fields).items():
    try:
      config_copy.update_from_flattened_dict({field: value})
    except (KeyError, AttributeError) as error:
      raise UserError(f'{prefix}no such field: {field}.') from error
    except (TypeError, ValueError) as error:
      message = f'{prefix}{field}={value!r}: {first_line(error)}'
      raise UserError(message) from error
  return config_copy


def apply_variants(
  config: ml_collections.ConfigDict,
  variants: str,
  variant_functions: Mapping[str, Callable[[ml_collections.ConfigDict], None]],
) -> ml_collections.ConfigDict:
  """Applies variants to a config, as 'smoke' and 'paper' in 'smoke,paper'.

  Args:
    config: the config, which is changed in place.
    variants: names separated by commas, in any order.
    variant_functions: by name, a function that changes a config. They are
      called in the order of this mapping.

  Returns:
    The same config.

  Raises:
    UserError: a name is unknown, or two variants name the experiment, or the
      objective, differently.
  """
  variant_names = list(filter(None, variants.split(',')))
  for variant_name in variant_names:
    if variant_name not in variant_functions:
      raise UserError(
        f'{config.experiment}.py:{variant_name}: no such variant; there are '
        f'{", ".join(variant_functions)}.'
      )

  # By 'experiment' or 'objective', the variant that has given it its name.
  naming_variants: dict[str, str] = {}
  for variant_name in filter(variant_names.__contains__, variant_functions):
    names_before = config.experiment, config.objective.name
    variant_functions[variant_name](config)
    names_after = config.experiment, config.objective.name
    for field, name_before, name_after in zip(
      ('experiment', 'objective'), names_before, names_after, strict=True
    ):
      if name_before == name_after:
        continue
      # The second one would overwrite what the first one has set.
      first_variant = naming_variants.setdefault(field, variant_name)
      if first_variant != variant_name:
        raise UserError(
          f'{variants}: {first_variant} and {variant_name} exclude one '
          'another; take one of them.'
        )
  return config
