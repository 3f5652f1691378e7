"""Reads pickles as data: plain values are built, and nothing is executed.

Python's `pickle` calls whatever a file names. Here `pickletools` splits the
file into opcodes, and a small stack machine acts on those of an allow-list. It
builds numbers, texts, tuples, lists and dicts; a class or function that the
caller does not vouch for becomes an `Inert` object, which has a name only.
"""

import dataclasses
import io
import pickletools
from collections.abc import Callable, Mapping
from typing import Any

# Opcodes and pairs of one pickle: each may take a hundred bytes of memory.
_MOST_STEPS = 1_000_000
# Of names and of arguments: one text or tuple can be used again and again.
_LONGEST = 1000
# Keys that are hashed by their value: others could take for ever to hash.
_PLAIN_KEYS = (str, int, float, bool, bytes, type(None))
# Larger ints can be chosen such that their hashes are all the same.
_MOST_BITS = 60


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Inert:
  """Stands for an object of a class that is not known, and never built.

  Attributes:
    name: of the class or function, with its module.
  """

  name: str


def load(
  stream: io.BytesIO,
  functions: Mapping[str, Callable[..., Any]],
  persistent: Callable[[Any], Any],
) -> Any:
  """Reads one pickle, and leaves the stream behind it.

  Sets, and keys that are neither texts nor numbers, become inert, too. Lists,
  dicts and tuples may be nested to any depth and shared in any way: walk them
  without recursion.

  Args:
    stream: in memory, so that no length in it can ask for more than there is.
    functions: by 'module.name', what may be called with a file's arguments.
    persistent: makes a value of a persistent id.

  Raises:
    Exception: of any type, if the pickle is damaged or no data.
  """
  return _Machine(functions, persistent).run(stream)


class _Machine:
  """The pickle machine: a stack, a memo, and the opcodes of `_ACTIONS`."""

  def __init__(self, functions, persistent):
    self._functions, self._persistent = functions, persistent
    self._stack, self._marked_stacks, self._memo = [], [], {}
    self._steps = 0

  def run(self, stream: io.BytesIO) -> Any:
    """Acts on each opcode up to STOP."""
    for opcode, argument, _ in pickletools.genops(stream):
      self._count(1)
      if opcode.name == 'STOP':
        return self._stack.pop()
      if opcode.name not in _ACTIONS:
        raise ValueError(f'it has the opcode {opcode.name}')
      _ACTIONS[opcode.name](self, argument)
    raise ValueError('its pickle has no end')

  def _count(self, steps):
    self._steps += steps
    if self._steps > _MOST_STEPS:
      raise ValueError(f'it has more than {_MOST_STEPS:,} values')

  def push(self, value):
    self._stack.append(value)

  def push_list(self, _):
    self._stack.append([])

  def push_dict(self, _):
    self._stack.append({})

  def push_inert_set(self, _):
    self._stack.append(Inert('builtins.set'))

  def mark(self, _):
    self._marked_stacks.append(self._stack)
    self._stack = []

  def pop_to_mark(self, _=None):
    values = self._stack
    self._stack = self._marked_stacks.pop()
    return values

  def pop(self, _):
    # POP drops a mark if nothing stands above it.
    if not self._stack and self._marked_stacks:
      self.pop_to_mark()
    else:
      self._stack.pop()

  def duplicate(self, _):
    self._stack.append(self._stack[-1])

  def memoize(self, index):
    self._memo[len(self._memo) if index is None else index] = self._stack[-1]

  def recall(self, index):
    self._stack.append(self._memo[index])

  def make_tuple(self, _):
    self.push(tuple(self.pop_to_mark()))

  def make_list(self, _):
    self.push(self.pop_to_mark())

  def make_dict(self, _):
    items = self.pop_to_mark()
    self.push({})
    self._set(items)

  def make_inert_set(self, _):
    self.pop_to_mark()
    self.push(Inert('builtins.frozenset'))

  def append(self, _):
    value = self._stack.pop()
    self._extend([value])

  def extend(self, _):
    self._extend(self.pop_to_mark())

  def _extend(self, values):
    target = self._stack[-1]
    if isinstance(target, list):
      target.extend(values)
    elif not isinstance(target, Inert):
      raise ValueError('it appends to what is no list')

  def set_item(self, _):
    value, key = self._stack.pop(), self._stack.pop()
    self._set([key, value])

  def set_items(self, _):
    self._set(self.pop_to_mark())

  def _set(self, items):
    target = self._stack[-1]
    if isinstance(target, dict):
      for key, value in zip(items[::2], items[1::2], strict=True):
        target[_plain_key(key)] = value
    elif not isinstance(target, Inert):
      raise ValueError('it sets items of what is no dict')

  def name(self, names):
    self._name(*names.split(' ', 1))

  def stack_name(self, _):
    name, module = self._stack.pop(), self._stack.pop()
    self._name(module, name)

  def _name(self, module, name):
    if len(module) + len(name) > _LONGEST:
      raise ValueError('it names a function of too long a name')
    self.push(Inert(f'{module}.{name}'))

  def call(self, _):
    arguments, function = self._stack.pop(), self._stack.pop()
    self.push(self._result(function, arguments))

  def call_with_names(self, _):
    self._stack.pop()  # keyword arguments, of unknown classes only
    self.call(None)

  def _result(self, function, arguments):
    if not isinstance(function, Inert) or not isinstance(arguments, tuple):
      raise ValueError('it calls what is no function')
    if len(arguments) > _LONGEST:
      raise ValueError('it calls a function with too many arguments')
    if function.name == 'collections.OrderedDict':
      return self._dict(*arguments)
    if function.name == 'collections.defaultdict':
      return {}
    if function.name in self._functions:
      return self._functions[function.name](*arguments)
    return Inert(function.name)

  def _dict(self, pairs=()):
    """Makes a dict; a file may use the same list of pairs again and again."""
    self._count(len(pairs))
    return {_plain_key(key): value for key, value in pairs}

  def set_state(self, _):
    """Drops the attributes that PyTorch hangs on a state dict, and others."""
    self._stack.pop()
    if not isinstance(self._stack[-1], dict | Inert):
      raise ValueError('it changes what is plain data')

  def refer(self, _):
    self.push(self._persistent(self._stack.pop()))


def _plain_key(key):
  if isinstance(key, Inert):
    return key
  plain = type(key) in _PLAIN_KEYS
  if plain and not (type(key) is int and key.bit_length() > _MOST_BITS):
    return key
  return Inert(type(key).__name__)


_LITERALS = (
  *('INT', 'BININT', 'BININT1', 'BININT2', 'LONG', 'LONG1', 'LONG4'),
  *('FLOAT', 'BINFLOAT', 'STRING', 'BINSTRING', 'SHORT_BINSTRING'),
  *('BINBYTES', 'SHORT_BINBYTES', 'BINBYTES8', 'BYTEARRAY8', 'UNICODE'),
  *('SHORT_BINUNICODE', 'BINUNICODE', 'BINUNICODE8'),
)
_CONSTANTS = {
  'NONE': None,
  'NEWTRUE': True,
  'NEWFALSE': False,
  'EMPTY_TUPLE': (),
}


def _constant(value):
  return lambda machine, _: machine.push(value)


def _tuple_of(length):
  def act(machine, _):
    stack = machine._stack
    if len(stack) < length:
      raise ValueError('its stack is empty')
    stack[-length:] = [tuple(stack[-length:])]

  return act


_ACTIONS = {
  **dict.fromkeys(_LITERALS, _Machine.push),
  **{name: _constant(value) for name, value in _CONSTANTS.items()},
  **{f'TUPLE{n}': _tuple_of(n) for n in (1, 2, 3)},
  **dict.fromkeys(('PROTO', 'FRAME'), lambda machine, _: None),
  **dict.fromkeys(('GET', 'BINGET', 'LONG_BINGET'), _Machine.recall),
  **dict.fromkeys(
    ('PUT', 'BINPUT', 'LONG_BINPUT', 'MEMOIZE'), _Machine.memoize
  ),
  'EMPTY_LIST': _Machine.push_list,
  'EMPTY_DICT': _Machine.push_dict,
  'EMPTY_SET': _Machine.push_inert_set,
  'MARK': _Machine.mark,
  'POP': _Machine.pop,
  'POP_MARK': _Machine.pop_to_mark,
  'DUP': _Machine.duplicate,
  'TUPLE': _Machine.make_tuple,
  'LIST': _Machine.make_list,
  'DICT': _Machine.make_dict,
  'FROZENSET': _Machine.make_inert_set,
  'APPEND': _Machine.append,
  'APPENDS': _Machine.extend,
  'ADDITEMS': _Machine.extend,
  'SETITEM': _Machine.set_item,
  'SETITEMS': _Machine.set_items,
  'GLOBAL': _Machine.name,
  'STACK_GLOBAL': _Machine.stack_name,
  'REDUCE': _Machine.call,
  'NEWOBJ': _Machine.call,
  'NEWOBJ_EX': _Machine.call_with_names,
  'BUILD': _Machine.set_state,
  'BINPERSID': _Machine.refer,
}
