"""Errors in config files: one sentence that names the file and the line."""

import sys

import pytest
from absl import flags
from ml_collections import config_flags

from dualgan_jax.cli import config_errors

# ml_collections loads a file by what Python 3.11 calls deprecated.
pytestmark = pytest.mark.filterwarnings('ignore:the load_module')

_RIGHT_FILE = (
  'import ml_collections as m\ndef get_config():\n  return m.ConfigDict()'
)


def _explain(config_argument, *overrides):
  """Parses a command line, and returns the sentence about its error."""
  config_argument = str(config_argument)
  sys.modules.pop('config_config', None)  # the config of another test
  argv = ['program', f'--config={config_argument}', *overrides]
  flag_values = flags.FlagValues()
  config_flag = config_flags.DEFINE_config_file(
    'config', None, 'What to run.', flag_values=flag_values, sys_argv=argv
  )
  try:
    flag_values(argv)
    getattr(config_flag.value, 'to_dict', None)
  except (Exception, SystemExit) as error:
    return config_errors.explain(error, config_argument)
  return config_errors.explain_value(config_flag.value, config_argument)


@pytest.mark.parametrize(
  ('code', 'message'),
  [
    ('assert False', 'mine.py, line 2: AssertionError.'),
    ('return {}["x"]', "mine.py, line 2: KeyError: 'x'."),
    (
      'import nothere',
      'line 2: ModuleNotFoundError: No module named',
    ),
    ('open("/none")', 'line 2: FileNotFoundError: [Errno 2] No such file or'),
    ('return (1).foo', "line 2: AttributeError: 'int' object has no attribute"),
    ('raise ValueError("one\\ntwo")', 'line 2: ValueError: one two.'),
    ('raise TypeError("one\\ntwo")', 'line 2: TypeError: one two.'),
    ('return (', "line 2: SyntaxError: '(' was never closed."),
    ('import sys; sys.exit(0)', 'line 2: it ends the program; take that out.'),
    ('pass', 'must return an ml_collections.ConfigDict, but returned nothing.'),
    (
      'return []',
      'must return an ml_collections.ConfigDict, but returned a l',
    ),
    (
      'return {}',
      'must return an ml_collections.ConfigDict, but returned a d',
    ),
  ],
)
def test_the_file_and_line_are_named(tmp_path, code, message):
  path = tmp_path / 'mine.py'
  path.write_text(f'def get_config():\n  {code}\n')
  sentence = _explain(path)
  assert sentence.startswith('--config: ')
  assert message in sentence
  assert '\n' not in sentence


def test_the_line_is_in_the_config_file_where_other_code_raises(tmp_path):
  path = tmp_path / 'mine.py'
  path.write_text('import json\n\ndef get_config():\n  json.loads("{")\n')
  assert 'mine.py, line 4: JSONDecodeError: Expecting' in _explain(path)


def test_an_override_of_a_value_that_is_no_config(tmp_path):
  path = tmp_path / 'mine.py'
  path.write_text('def get_config():\n  return None\n')
  sentence = _explain(path, '--config.seed=1')
  assert sentence.endswith('ConfigDict, but returned nothing.')


def test_an_unknown_field(tmp_path):
  path = tmp_path / 'mine.py'
  path.write_text(_RIGHT_FILE)
  assert _explain(path) is None
  assert _explain(path, '--config.stepz=1') == (
    '--config: no such field: stepz (did you mean steps?); add --help to list '
    'all.'
  )
  assert _explain(path, '--config.qqq=1') == (
    '--config: no such field: qqq; add --help to list all.'
  )


def test_a_file_without_a_config(tmp_path):
  path = tmp_path / 'mine.py'
  path.write_text('x = 1\n')
  assert _explain(path) == (
    f'--config: {path} defines no get_config(); name another file.'
  )


def test_a_name_that_is_no_preset_lists_the_presets():
  sentence = _explain('digit')
  assert sentence.startswith(
    '--config: there is no file digit (did you mean digits?); name yours, or'
  )
  assert 'cifar10, digits, fashion_mnist' in sentence
  assert 'objectives' not in sentence


def test_a_missing_name():
  assert _explain('') == '--config: missing; see --help.'


def test_a_long_message_is_cut(tmp_path):
  path = tmp_path / 'mine.py'
  path.write_text('def get_config():\n  raise RuntimeError("x" * 9999)\n')
  assert len(_explain(path)) < 400
