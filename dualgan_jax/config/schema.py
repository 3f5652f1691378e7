"""What a config may say: every field, its check, and who reads it."""

import math
import reprlib
from collections.abc import Callable, Iterator
from typing import Any

import ml_collections
import numpy as np

from dualgan_jax import losses, names
from dualgan_jax.errors import UserError
from dualgan_jax.networks.architectures import ARCHITECTURES
from dualgan_jax.networks.classifier import KINDS, MOST_PIXELS

FILTERS = ('stage1', 'fresh')
ONE_HOT_FORMS = ('labels', 'class')
ROUTING = ('auto', 'on', 'images', 'off')

STAGES = (
  'pretrain',
  'generator',
  'dual',
  'targetnet',
  'refine',
  'baselines',
  'evaluate',
)

# The fields that a stage's outcome depends on, by their first part. Those that
# a stage takes over from an earlier one's outcome are that one's.
READS = {
  'pretrain': ('seed', 'image', 'precision', 'data', 'teachers', 'pretrain'),
  'generator': (
    'seed',
    'image',
    'precision',
    'teachers',
    'objective',
    'generator',
  ),
  'dual': ('seed', 'labels', 'student', 'dual'),
  'targetnet': ('seed', 'labels', 'student', 'temperature', 'targetnet'),
  'refine': ('seed', 'labels', 'student', 'temperature', 'refine'),
  'baselines': (
    'seed',
    'data',
    'labels',
    'student',
    'temperature',
    'baselines',
  ),
  'evaluate': ('seed', 'data', 'labels', 'experiment', 'objective'),
}
# Fields that earlier versions had not, by their last part, and the value with
# which all is as it was then.
_ADDED = {
  'index': None,
  'stem_pool': None,
  'subset': None,
  'image_column': None,
  'label_column': None,
  'train_part': 'train',
  'test_part': 'test',
}
# Of an objective, what the results say of it, and nothing is trained with.
_TOLD = ('name', 'oracle')

# The rows of the results beside those of single teachers.
ROWS = (
  'teachers',
  'compact',
  'compact_before_refine',
  'branched',
  'noise',
  'real_data',
)

# A check takes a value and says what it should have been, or None if it is so.
Check = Callable[[Any], str | None]


_LONGEST_VALUE = 80  # letters of a value in a message
# JAX counts in 32 bits.
_TOO_LARGE = 2**31
# More units in a layer, or pixels along a side, are a mistake.
_MOST_UNITS = 2**16


def _integer(low: int, high: int = _TOO_LARGE - 1) -> Check:
  def check(x):
    whole = isinstance(x, int) and not isinstance(x, bool)
    if whole and low <= x <= high:
      return None
    upto = f' to {high:,}' if whole and x > high else ''
    return f'a whole number from {low}{upto}'

  return check


_SMALLEST = float(np.finfo(np.float32).tiny)
_GREATEST = float(np.finfo(np.float32).max)


def _number(low: float, high: float = math.inf, *, above=False) -> Check:
  def check(x):
    number = isinstance(x, int | float) and not isinstance(x, bool)
    if number and low <= x < high and not (above and x == low):
      # JAX computes in float32, where this may be 0 or infinite.
      if x and not _SMALLEST <= abs(x) <= _GREATEST:
        return f'0, or in size from {_SMALLEST:.2g} to {_GREATEST:.2g}'
      return None
    less = '' if high == math.inf else f', less than {high}'
    return f'a number {"above" if above else "from"} {low}{less}'

  return check


def _integers(low: int, length: int | None = None) -> Check:
  def check(x):
    one = _integer(low, _MOST_UNITS)
    if (
      isinstance(x, tuple)
      and x
      and not any(one(i) for i in x)
      and (length is None or len(x) == length)
    ):
      return None
    count = '' if length is None else f'{length} '
    return f'a tuple of {count}whole numbers from {low} to {_MOST_UNITS:,}'

  return check


def _optional(inner: Check) -> Check:
  return lambda x: None if x is None else inner(x)


def _choice(*allowed: str) -> Check:
  def check(x):
    fine = isinstance(x, str) and x in allowed
    return None if fine else f'one of {", ".join(allowed)}'

  return check


def _flag(x: Any) -> str | None:
  return None if isinstance(x, bool) else 'True or False'


def _text(x: Any) -> str | None:
  return None if isinstance(x, str) and x else 'a text'


def _name(x: Any) -> str | None:
  fault = names.name_fault(x)
  return fault and f'a name; it {fault}'


def _labels(x: Any) -> str | None:
  if not isinstance(x, tuple):
    return "a tuple of texts, like ('0', '1')"
  faults = [
    f'{_brief(i)} {fault}' for i in x if (fault := names.label_fault(i))
  ]
  return f'a tuple of texts; {faults[0]}' if faults else None


def _index(x: Any) -> str | None:
  if x is None or isinstance(x, str) or _integer(0)(x) is None:
    return None
  return 'a key of the file or a list position in it'


def _blocks(x: Any) -> str | None:
  return None if isinstance(x, tuple) and not x else _integers(1)(x)


def _image(x: Any) -> str | None:
  fine = not _integers(1, length=3)(x) and x[2] in (1, 3)
  if fine and x[0] * x[1] > MOST_PIXELS:
    return f'an image of at most {MOST_PIXELS:,} pixels'
  return None if fine else 'a tuple (height, width, channels), channels 1 or 3'


def _numbers(x: Any) -> bool:
  one = _number(-math.inf)
  return isinstance(x, tuple) and len(x) in (1, 3) and not any(map(one, x))


def _mean(x: Any) -> str | None:
  if _numbers(x) and max(x) <= 1:
    return None
  return 'a tuple of one number, or of one per channel, of images in [0, 1]'


def _positive(x: Any) -> str | None:
  if _numbers(x) and min(x) > 0:
    return None
  return 'a tuple of one number above 0, or of one per channel'


_STEPS = _integer(1)
_RATE = _number(0, above=True)
_WEIGHT = _number(0)
_NET = {
  'kind': _choice(*KINDS),
  'widths': _integers(1),
  'depths': _integers(1),
  'strides': _integers(1),
  'batch_norm': _flag,
}
# A batch of 0 is the largest that fits (`batch_sizes`).
_TRAINING = {'steps': _STEPS, 'batch': _integer(0), 'learning_rate': _RATE}
_CHECKS = {
  'experiment': _name,
  'seed': _integer(0),
  'devices': _integer(0),
  'steps_per_call': _integer(0),
  'log_every': _STEPS,
  'save_every': _STEPS,
  'image': _image,
  'precision': _choice('float32', 'bfloat16'),
  'labels': _labels,
  'student': _NET,
  'temperature': _RATE,
  'objective': {
    'name': _name,
    'oracle': _flag,
    'alpha': _WEIGHT,
    'beta': _WEIGHT,
    'gamma': _WEIGHT,
    'entropy': _choice(*losses.ENTROPY_FORMS),
    'prior': _WEIGHT,
    'one_hot': _choice(*ONE_HOT_FORMS),
    'never_empty': _flag,
    'groups': _flag,
    'image_filter': _flag,
    'routing': _choice(*ROUTING),
  },
  'pretrain': {**_TRAINING, 'teacher_data': _choice('shared', 'own')},
  'generator': {
    **_TRAINING,
    'noise': _integer(1, _MOST_UNITS),
    'widths': _integers(1),
    'features': _optional(_integers(1)),
    'b1': _number(0, 1),
    'probe_steps': _STEPS,
  },
  'dual': {
    **_TRAINING,
    'steps': _integer(0),
    'filters': _choice(*FILTERS),
    'lambda_own': _WEIGHT,
    'lambda_generated': _WEIGHT,
  },
  'targetnet': {
    'compact_steps': _STEPS,
    'branched_steps': _STEPS,
    'batch': _integer(0),
    'learning_rate': _RATE,
    'measure_batches': _STEPS,
    'branch_tolerance': _WEIGHT,
  },
  'refine': {
    **_TRAINING,
    'steps': _integer(0),
    'generator_learning_rate': _RATE,
    'disagreement': _WEIGHT,
    'replays': _STEPS,
    'shift': _integer(0),
    'flip': _flag,
    'mixup': _number(0, 1),
    'pool_batches': _STEPS,
  },
  'baselines': {**_TRAINING, 'steps': _integer(0)},
}
_TEACHER = {'labels': _labels, 'data': _text, 'single_label': _flag, **_NET}
_WEIGHTS = {
  'labels': _labels,
  'single_label': _flag,
  'data': _optional(_text),
  'architecture': _choice(*ARCHITECTURES),
  'weights': _text,
  'sha256': _optional(_text),
  'index': _index,
  'stem_pool': _optional(_flag),
  'reference': _optional(_text),
  'size': _optional(_image),
  'mean': _mean,
  'deviation': _positive,
  'merge': _blocks,
}
_MODULE = {
  'labels': _optional(_labels),
  'data': _optional(_text),
  'module': _text,
  'sha256': _optional(_text),
}
_TEACHERS = {'trained': _TEACHER, 'weights': _WEIGHTS, 'module': _MODULE}
_DATA = {
  'source': _text,
  'path': _optional(_text),
  'subset': _optional(_text),
  'train_part': _text,
  'test_part': _text,
  'image_column': _optional(_text),
  'label_column': _optional(_text),
  'test_fraction': _optional(_number(0, 1, above=True)),
  'shift': _integer(0),
  'flip': _flag,
  'overlay': _integer(0),
}


def check(
  config: ml_collections.ConfigDict,
) -> ml_collections.FrozenConfigDict:
  """Sees that a config is whole and each of its fields is what it should be.

  Args:
    config: as the presets' `get_config` makes it.

  Returns:
    The same values, frozen.

  Raises:
    UserError: a field is missing, unknown or wrong; the message names it.
  """
  if not isinstance(
    config, ml_collections.ConfigDict | ml_collections.FrozenConfigDict
  ):
    raise UserError(
      f'config: {_brief(config)}, but it should be a ConfigDict, as '
      'get_config() of a preset returns it.'
    )
  values = config.to_dict()
  checks = dict(_CHECKS)
  named = values.get('teachers')
  if not isinstance(named, dict) or not named:
    raise UserError('teachers: name at least one teacher.')
  for name in named:
    if fault := names.name_fault(name):
      raise UserError(f'teachers: the name {_brief(name)} {fault}.')
    if name in ROWS:
      raise UserError(
        f'teachers.{name}: the results have a row of that name; name the '
        'teacher otherwise.'
      )
  kinds = {name: origin(teacher) for name, teacher in named.items()}
  trained = [name for name, kind in kinds.items() if kind == 'trained']
  checks['teachers'] = {name: _TEACHERS[kind] for name, kind in kinds.items()}
  sets = values.get('data')
  if not isinstance(sets, dict) or (trained and not sets):
    raise UserError('data: name at least one data set.')
  for name in sets:
    if fault := names.name_fault(name):
      raise UserError(f'data: the name {_brief(name)} {fault}.')
  checks['data'] = dict.fromkeys(sets, _DATA)
  _walk('', checks, values)
  for name, teacher in values['teachers'].items():
    if (name in trained or teacher['data'] is not None) and (
      teacher['data'] not in values['data']
    ):
      raise UserError(
        f'teachers.{name}.data: there is no data set '
        f'{_brief(teacher["data"])}; there are '
        f'{", ".join(values["data"]) or "none"}.'
      )
    if teacher.get('stem_pool') is not None and (
      ARCHITECTURES[teacher['architecture']].stem_pool is None
    ):
      raise UserError(
        f'teachers.{name}.stem_pool: no pool can follow the first convolution '
        f'of a {teacher["architecture"]}; leave it out.'
      )
    if teacher.get('single_label') and len(teacher['labels']) < 2:
      raise UserError(
        f'teachers.{name}.single_label: it has one label only, which a softmax '
        'always gives; name all its labels, or set it to False.'
      )
  taught = {teacher['data'] for teacher in values['teachers'].values()}
  for name in values['data']:
    # Those of other people's teachers are only tested on it.
    if name not in taught and len(trained) == len(named):
      raise UserError(
        f'data.{name}: no teacher is trained on it; take it out, or name it in '
        'teachers.<name>.data.'
      )
  for field, net in _nets(values):
    for part in ('depths', 'strides'):
      if len(net[part]) != len(net['widths']):
        raise UserError(
          f'{field}.{part}: {len(net[part])} values for {len(net["widths"])} '
          f'blocks; give one per entry of {field}.widths.'
        )
  if values['dual']['steps'] and not values['objective']['groups']:
    raise UserError(
      'dual.steps: blocks learn from groups, and objective.groups is False; '
      'set dual.steps to 0, or objective.groups to True.'
    )
  if values['refine']['shift'] >= min(values['image'][:2]):
    raise UserError(
      f'refine.shift: {values["refine"]["shift"]} pixels move an image of '
      f'{values["image"][0]}×{values["image"][1]} out of sight; take fewer.'
    )
  own = values['dual']
  if own['steps'] and not own['lambda_own'] and not own['lambda_generated']:
    raise UserError(
      'dual.lambda_own: blocks learn nothing if it and dual.lambda_generated '
      'are 0; set one of them above 0, or dual.steps to 0.'
    )
  return ml_collections.FrozenConfigDict(values)


def flattened(config: ml_collections.FrozenConfigDict) -> dict[str, Any]:
  """Lists all fields of a config: {'generator.steps': 1000, ...}."""
  return dict(_flatten('', config.to_dict()))


def fields(config: ml_collections.FrozenConfigDict, *stages: str) -> dict:
  """The fields that stages read: {'generator.steps': 1000, ...}."""
  values = config.to_dict()
  teachers = values['teachers']
  # What others' teachers were trained on makes nothing but a baseline.
  told = {
    k: {'data': v['data']}
    for k, v in teachers.items()
    if origin(v) != 'trained'
  }
  found = {}
  for stage in stages:
    read = {part: values[part] for part in READS[stage]}
    if stage == 'pretrain':
      read['teachers'] = {k: v for k, v in teachers.items() if k not in told}
      taught = {teacher['data'] for teacher in read['teachers'].values()}
      read['data'] = {k: v for k, v in read['data'].items() if k in taught}
    elif stage == 'generator':
      read['teachers'] = {k: {**v} for k, v in teachers.items()}
      for name in told:
        del read['teachers'][name]['data']
      read['objective'] = {
        k: v for k, v in read['objective'].items() if k not in _TOLD
      }
    elif stage == 'baselines':
      read['teachers'] = told
    elif stage == 'evaluate':
      read['objective'] = {k: values['objective'][k] for k in _TOLD}
    found.update(_flatten('', read))
  return {k: v for k, v in found.items() if not _is_place(k)}


def differing(old: dict, new: dict) -> list[str]:
  """The fields that two results of `fields` disagree in, with both values."""

  def norm(x):
    return list(x) if isinstance(x, tuple | list) else x

  def added(fields, others):
    missing = {k: k.rpartition('.')[2] for k in others if k not in fields}
    return {k: _ADDED[part] for k, part in missing.items() if part in _ADDED}

  old, new = {**old, **added(old, new)}, {**new, **added(new, old)}
  return [
    f'{k} ({_shown(old, k)} there, {_shown(new, k)} now{_cause(k)})'
    for k in sorted({*old, *new})
    if norm(old.get(k)) != norm(new.get(k)) or (k in old) != (k in new)
  ]


def _is_place(field: str) -> bool:
  """Whether a field only says where something lies."""
  parts = field.split('.')
  return (parts[0], parts[-1]) in (
    ('data', 'path'),
    ('teachers', 'weights'),
    ('teachers', 'reference'),
    ('teachers', 'module'),
  )


def _walk(prefix: str, checks: dict, values: dict) -> None:
  for name in sorted({*checks, *values}):
    field = f'{prefix}{name}'
    if name not in checks:
      raise UserError(f'{field}: no such field; remove it from the config.')
    if name not in values:
      raise UserError(f'{field}: missing; add it to the config.')
    inner, value = checks[name], values[name]
    if isinstance(inner, dict):
      if not isinstance(value, dict):
        raise UserError(f'{field}: {_brief(value)}, but it should be a group.')
      _walk(f'{field}.', inner, value)
    elif wanted := inner(value):
      raise UserError(f'{field}: {_brief(value)}, but it should be {wanted}.')


def origin(teacher: Any) -> str:
  """'trained', or the field that names the file a teacher comes from."""
  fields = teacher if hasattr(teacher, 'keys') else ()
  return next((x for x in ('weights', 'module') if x in fields), 'trained')


def _nets(values: dict) -> Iterator[tuple[str, dict]]:
  for name, net in values['teachers'].items():
    if origin(net) == 'trained':
      yield f'teachers.{name}', net
  yield 'student', values['student']


def _flatten(prefix: str, values: dict) -> Iterator[tuple[str, Any]]:
  for name, value in values.items():
    if isinstance(value, dict):
      yield from _flatten(f'{prefix}{name}.', value)
    else:
      yield f'{prefix}{name}', value


def _brief(value: Any) -> str:
  """A value, whatever it is, in one line of some length."""
  return ' '.join(reprlib.repr(value).split())[:_LONGEST_VALUE]


def _cause(field: str) -> str:
  if field.startswith('teachers.') and field.endswith('.sha256'):
    return ": the teacher's file, or what it reads, has changed"
  return ''


def _shown(values: dict, field: str) -> str:
  if field not in values:
    return 'nothing'
  value = values[field]
  return repr(tuple(value) if isinstance(value, list) else value)
