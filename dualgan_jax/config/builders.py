"""Builds configs: groups of fields, each with its usual values."""

import types
import typing
from collections.abc import Mapping
from typing import Any

import ml_collections
from ml_collections import config_dict

from dualgan_jax.config.fields import (
  DataSet,
  Experiment,
  GivenTeacher,
  Group,
  ModuleTeacher,
  Net,
  TrainedTeacher,
  WeightsTeacher,
)
from dualgan_jax.errors import UserError, first_line


def get_config() -> ml_collections.ConfigDict:
  """Makes a config; experiment, image, labels and nets are still missing."""
  return ml_collections.ConfigDict(_defaults(Experiment))


def data_set(source: str, **changes: Any) -> dict[str, Any]:
  """Makes a named set of `config.data`.

  Args:
    source: its name on the Hugging Face Hub, 'scikit-learn/digits', or
      'PASCAL/VOC2007', which is read from `path` only.
    **changes: other fields than usual, of `fields.DataSet`.
  """
  return {**_defaults(DataSet), 'source': source, **changes}


def conv(
  widths: tuple[int, ...], strides: tuple[int, ...], **changes: Any
) -> dict[str, Any]:
  """Makes a net of convolutions with batch norm, one per block if not changed.

  Args:
    widths: channels of each block.
    strides: of each block.
    **changes: other fields than usual, of `fields.Net`.
  """
  return {
    **_defaults(Net),
    'kind': 'conv',
    'widths': widths,
    'depths': (1,) * len(widths),
    'strides': strides,
    **changes,
  }


def teacher(
  labels: tuple[str, ...], data: str, net: dict[str, Any], **changes: Any
) -> dict[str, Any]:
  """Makes a teacher that is trained here.

  Args:
    labels: that it answers.
    data: the set of `config.data` that it is trained on.
    net: as `conv` makes it.
    **changes: other fields than usual, of `fields.TrainedTeacher`.
  """
  usual = _defaults(TrainedTeacher)
  return {**usual, 'labels': labels, 'data': data, **net, **changes}


def weights(architecture: str, address: str, **changes: Any) -> dict[str, Any]:
  """Makes a teacher that PyTorch has trained.

  Args:
    architecture: one of `dualgan_jax.networks.architectures.ARCHITECTURES`.
    address: of its weight file: a path, or hf://owner/name[/file].
    **changes: other fields than usual, of `fields.WeightsTeacher`, and
      'labels', in the order of its logits.
  """
  return {
    **_defaults(WeightsTeacher),
    'architecture': architecture,
    'weights': address,
    **changes,
  }


def module(path: str) -> dict[str, Any]:
  """Makes a teacher that a Python file makes (`experiments/flax_teacher.py`).

  Args:
    path: of the file.
  """
  return {**_defaults(ModuleTeacher), 'module': path}


def given(**changes: Any) -> dict[str, Any]:
  """Makes a teacher in memory: `run(config, ..., teachers={NAME: ...})`.

  Args:
    **changes: other fields than usual, of `fields.GivenTeacher`.
  """
  return {**_defaults(GivenTeacher), 'given': True, **changes}


def _defaults(group: type[Group]) -> dict[str, Any]:
  """Gives the fields of a group that have a default, as a config holds them."""
  values = {}
  for name, info in group.model_fields.items():
    if info.is_required():
      continue
    if isinstance(info.default, Group):
      values[name] = _defaults(type(info.default))
    elif info.default is None:
      # Of a known type, so that the command line can set it.
      values[name] = config_dict.placeholder(
        _type_besides_none(info.annotation)
      )
    else:
      values[name] = info.default
  return values


def _type_besides_none(annotation: Any) -> type:
  """Finds `tuple` in `tuple[int, ...] | None`."""
  (alternative,) = set(typing.get_args(annotation)) - {types.NoneType}
  return typing.get_origin(alternative) or alternative


def changed(
  config: ml_collections.ConfigDict,
  fields: Mapping[str, Any],
  prefix: str = '',
) -> ml_collections.ConfigDict:
  """Copies a config, with other values in some fields.

  Args:
    config: that knows all these fields.
    fields: {'generator.steps': 100}.
    prefix: where they come from, for the messages.

  Raises:
    UserError: there is no such field, or its type is another.
  """
  copy = config.copy_and_resolve_references().lock()
  for field, value in fields.items():
    try:
      copy.update_from_flattened_dict({field: value})
    except (KeyError, AttributeError) as e:
      raise UserError(f'{prefix}no such field: {field}.') from e
    except (TypeError, ValueError) as e:
      raise UserError(f'{prefix}{field}={value!r}: {first_line(e)}') from e
  return copy


def varied(
  config: ml_collections.ConfigDict, variants: str, known: dict
) -> ml_collections.ConfigDict:
  """A config, changed by variants.

  Args:
    config: changed, and returned.
    variants: names, separated by commas.
    known: by name, a function that changes a config; those that are asked for
      do so in the order in which they are known.

  Raises:
    UserError: a name is not known, or two of them name the experiment or the
      objective.
  """
  asked = list(filter(None, variants.split(',')))
  for variant in asked:
    if variant not in known:
      raise UserError(
        f'{config.experiment}.py:{variant}: no such variant; there are '
        f'{", ".join(known)}.'
      )
  named: dict[str, str] = {}
  for variant in filter(asked.__contains__, known):
    before = config.experiment, config.objective.name
    known[variant](config)
    for field, was, now in zip(
      ('experiment', 'objective'),
      before,
      (config.experiment, config.objective.name),
      strict=True,
    ):
      if was != now and named.setdefault(field, variant) != variant:
        raise UserError(
          f'{variants}: {named[field]} and {variant} exclude one another; take '
          'one of them.'
        )
  return config
