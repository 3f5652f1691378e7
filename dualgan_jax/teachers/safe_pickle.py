"""Reads pickles as data: plain values are built, and nothing is executed.

Python's `pickle` calls whatever a file names. Here `pickletools` splits the
file into opcodes, and a small stack machine acts on those of an allow-list. It
builds numbers, texts, tuples, lists and dicts. Classes and functions become
`Inert` objects, which have a name only, unless the caller provides a function
of that name.
"""

import dataclasses
import io
import pickletools
from collections.abc import Callable, Mapping
from typing import Any

# Opcodes and pairs of one pickle: each may take a hundred bytes of memory.
_MAX_STEPS = 1_000_000
# Of names and of argument tuples: a file can use one text or tuple again and
# again, so that a short file would need much memory.
_MAX_LENGTH = 1000
# Keys that are hashed by their value: others could take for ever to hash.
_PLAIN_KEY_TYPES = (str, int, float, bool, bytes, type(None))
# Larger ints can be chosen such that their hashes are all the same.
_MAX_INT_BITS = 60


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Inert:
  """A placeholder for a class, a function or an object of an unknown class.

  Attributes:
    name: of the class or function, after its module and a dot.
  """

  name: str


def load(
  stream: io.BytesIO,
  functions: Mapping[str, Callable[..., Any]],
  load_persistent: Callable[[Any], Any],
) -> Any:
  """Reads one pickle, and leaves the stream at its end.

  Sets, and keys that are neither texts nor numbers, become inert, too. Lists,
  dicts and tuples may be nested to any depth and shared in any way: walk them
  without recursion.

  Args:
    stream: in memory, so that a length in it cannot exceed the bytes there are.
    functions: by 'module.name', functions that may be called with arguments of
      the file; they must be safe with any.
    load_persistent: makes a value from a persistent id.

  Returns:
    The value that was pickled.

  Raises:
    Exception: of any type, if the pickle is damaged or not plain data.
  """
  return _Machine(functions, load_persistent).run(stream)


class _Machine:
  """The pickle machine: a stack, a memo, and `_ACTIONS_BY_OPCODE`."""

  def __init__(self, functions, load_persistent):
    self._functions, self._load_persistent = functions, load_persistent
    self._stack, self._marked_stacks, self._memo = [], [], {}
    self._num_steps = 0

  def run(self, stream: io.BytesIO) -> Any:
    """Acts on each opcode up to STOP, and returns the value on the stack."""
    for opcode, argument, _ in pickletools.genops(stream):
      self._count(1)
      if opcode.name == 'STOP':
        return self._stack.pop()
      # The others, such as INST and EXT1, make objects in further ways.
      if opcode.name not in _ACTIONS_BY_OPCODE:
        raise ValueError(f'it has the opcode {opcode.name}')
      _ACTIONS_BY_OPCODE[opcode.name](self, argument)
    raise ValueError('its pickle has no end')

  def _count(self, num_steps):
    """Counts steps, and raises ValueError if there are too many."""
    self._num_steps += num_steps
    if self._num_steps > _MAX_STEPS:
      raise ValueError(f'it has more than {_MAX_STEPS:,} values')

  # The methods below each act on one or several opcodes; their argument is the
  # opcode's, which most opcodes do not have.
  def push(self, value):
    self._stack.append(value)

  def push_list(self, _):
    self._stack.append([])

  def push_dict(self, _):
    self._stack.append({})

  def push_inert_set(self, _):
    self._stack.append(Inert('builtins.set'))

  def push_mark(self, _):
    self._marked_stacks.append(self._stack)
    self._stack = []

  def pop_to_mark(self, _=None):
    """Pops the values above the last mark, and the mark."""
    values = self._stack
    self._stack = self._marked_stacks.pop()
    return values

  def pop(self, _):
    # POP drops a mark if there is no value above it.
    if not self._stack and self._marked_stacks:
      self.pop_to_mark()
    else:
      self._stack.pop()

  def duplicate(self, _):
    self._stack.append(self._stack[-1])

  def memoize(self, memo_index):
    self._memo[len(self._memo) if memo_index is None else memo_index] = (
      self._stack[-1]
    )

  def recall(self, memo_index):
    self._stack.append(self._memo[memo_index])

  def make_tuple(self, _):
    self.push(tuple(self.pop_to_mark()))

  def make_list(self, _):
    self.push(self.pop_to_mark())

  def make_dict(self, _):
    keys_and_values = self.pop_to_mark()
    self.push({})
    self._set_items(keys_and_values)

  def make_inert_set(self, _):
    self.pop_to_mark()
    self.push(Inert('builtins.frozenset'))

  def append_value(self, _):
    value = self._stack.pop()
    self._extend([value])

  def extend_values(self, _):
    self._extend(self.pop_to_mark())

  def _extend(self, values):
    """Appends values to the list on top; an inert object ignores them."""
    target = self._stack[-1]
    if isinstance(target, list):
      target.extend(values)
    elif not isinstance(target, Inert):
      raise ValueError('it appends to what is no list')

  def set_item(self, _):
    value, key = self._stack.pop(), self._stack.pop()
    self._set_items([key, value])

  def set_items(self, _):
    self._set_items(self.pop_to_mark())

  def _set_items(self, keys_and_values):
    """Sets items of the dict on top; an inert object ignores them."""
    target = self._stack[-1]
    if isinstance(target, dict):
      for key, value in zip(
        keys_and_values[::2], keys_and_values[1::2], strict=True
      ):
        target[_plain_key(key)] = value
    elif not isinstance(target, Inert):
      raise ValueError('it sets items of what is no dict')

  def push_name(self, module_and_name):
    self._push_inert(*module_and_name.split(' ', 1))

  def push_stack_name(self, _):
    object_name, module_name = self._stack.pop(), self._stack.pop()
    self._push_inert(module_name, object_name)

  def _push_inert(self, module_name, object_name):
    """Pushes a name, which stays a name until it is called."""
    if len(module_name) + len(object_name) > _MAX_LENGTH:
      raise ValueError('it names a function of too long a name')
    self.push(Inert(f'{module_name}.{object_name}'))

  def call(self, _):
    arguments, function = self._stack.pop(), self._stack.pop()
    self.push(self._call_result(function, arguments))

  def call_with_keywords(self, _):
    self._stack.pop()  # keyword arguments, of unknown classes only
    self.call(None)

  def _call_result(self, function, arguments):
    """Calls one of the caller's functions; another one's result is inert."""
    if not isinstance(function, Inert) or not isinstance(arguments, tuple):
      raise ValueError('it calls what is no function')
    if len(arguments) > _MAX_LENGTH:
      raise ValueError('it calls a function with too many arguments')
    # State dicts are ordered dicts; plain dicts keep the order, too.
    if function.name == 'collections.OrderedDict':
      return self._make_dict(*arguments)
    if function.name == 'collections.defaultdict':
      return {}
    if function.name in self._functions:
      return self._functions[function.name](*arguments)
    return Inert(function.name)

  def _make_dict(self, pairs=()):
    """Makes a dict."""
    # A file may use the same list of pairs again and again.
    self._count(len(pairs))
    return {_plain_key(key): value for key, value in pairs}

  def set_state(self, _):
    """Drops attributes, such as those that PyTorch adds to a state dict."""
    self._stack.pop()
    if not isinstance(self._stack[-1], dict | Inert):
      raise ValueError('it changes what is plain data')

  def load_persistent(self, _):
    self.push(self._load_persistent(self._stack.pop()))


def _plain_key(key):
  """Returns a key that is safe to hash; a placeholder for any other."""
  if isinstance(key, Inert):
    return key
  # `type`, since a subclass may hash in a way of its own.
  is_plain = type(key) in _PLAIN_KEY_TYPES
  if is_plain and not (type(key) is int and key.bit_length() > _MAX_INT_BITS):
    return key
  return Inert(type(key).__name__)


# `pickletools` has already decoded the values of these.
_LITERAL_OPCODES = (
  *('INT', 'BININT', 'BININT1', 'BININT2', 'LONG', 'LONG1', 'LONG4'),
  *('FLOAT', 'BINFLOAT', 'STRING', 'BINSTRING', 'SHORT_BINSTRING'),
  *('BINBYTES', 'SHORT_BINBYTES', 'BINBYTES8', 'BYTEARRAY8', 'UNICODE'),
  *('SHORT_BINUNICODE', 'BINUNICODE', 'BINUNICODE8'),
)
_CONSTANT_OPCODES = {
  'NONE': None,
  'NEWTRUE': True,
  'NEWFALSE': False,
  'EMPTY_TUPLE': (),
}


def _push_constant(constant):
  """Makes the action of an opcode that stands for a constant."""
  return lambda machine, _: machine.push(constant)


def _push_tuple(tuple_length):
  """Makes the action of an opcode that makes a tuple of the last values."""

  def action(machine, _):
    stack = machine._stack
    if len(stack) < tuple_length:
      raise ValueError('its stack is empty')
    stack[-tuple_length:] = [tuple(stack[-tuple_length:])]

  return action


_ACTIONS_BY_OPCODE = {
  **dict.fromkeys(_LITERAL_OPCODES, _Machine.push),
  **{name: _push_constant(value) for name, value in _CONSTANT_OPCODES.items()},
  **{f'TUPLE{length}': _push_tuple(length) for length in (1, 2, 3)},
  **dict.fromkeys(('PROTO', 'FRAME'), lambda machine, _: None),
  **dict.fromkeys(('GET', 'BINGET', 'LONG_BINGET'), _Machine.recall),
  **dict.fromkeys(
    ('PUT', 'BINPUT', 'LONG_BINPUT', 'MEMOIZE'), _Machine.memoize
  ),
  'EMPTY_LIST': _Machine.push_list,
  'EMPTY_DICT': _Machine.push_dict,
  'EMPTY_SET': _Machine.push_inert_set,
  'MARK': _Machine.push_mark,
  'POP': _Machine.pop,
  'POP_MARK': _Machine.pop_to_mark,
  'DUP': _Machine.duplicate,
  'TUPLE': _Machine.make_tuple,
  'LIST': _Machine.make_list,
  'DICT': _Machine.make_dict,
  'FROZENSET': _Machine.make_inert_set,
  'APPEND': _Machine.append_value,
  'APPENDS': _Machine.extend_values,
  'ADDITEMS': _Machine.extend_values,
  'SETITEM': _Machine.set_item,
  'SETITEMS': _Machine.set_items,
  'GLOBAL': _Machine.push_name,
  'STACK_GLOBAL': _Machine.push_stack_name,
  'REDUCE': _Machine.call,
  'NEWOBJ': _Machine.call,
  'NEWOBJ_EX': _Machine.call_with_keywords,
  'BUILD': _Machine.set_state,
  'BINPERSID': _Machine.load_persistent,
}
