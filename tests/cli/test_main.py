"""The command `dualgan`: its overview, its help pages, and wrong commands."""

import json
import subprocess
import sys

import pytest

from dualgan_jax.cli import main
from dualgan_jax.presets import list_presets
from dualgan_jax.version import __version__
from tests.paths import ROOT

_SCREEN_LINES, _SCREEN_COLUMNS = 24, 80
# By command, flags of its module that are of no use to it.
_OMITTED_FLAGS = {
  'dry-run': {'stage', 'dry_run'},
  'show-config': {'workdir', 'multihost', 'quiet', 'log_level'},
}
_COMMANDS_WITH_CONFIG = ('train', 'dry-run', 'sweep', 'show-config')
_COMMAND_LINES = {
  'overview': ['--help'],
  'nothing': [],
  'version': ['--version'],
  'unknown command': ['trian\x1b[2J'],
  'presets': ['train', '--config=?'],
  'fields': ['train', '--config=digits', '--help', '--config.seed=7'],
  'config': [
    *('show-config', '--config=digits:smoke', '--config.seed=7'),
    '--config.generator.noise=9',
  ],
  **{command: [command, '--help'] for command in main.COMMANDS},
}
# Flags are global, so that command lines share one process, but not ours.
_PROGRAM = """
import contextlib, io, json, sys
from absl import flags
from dualgan_jax.cli import main

def run(arguments):
  # Overrides of config fields are read from here.
  sys.argv = ['dualgan', *arguments]
  # An earlier command line has left its config and flags for its fields.
  sys.modules.pop('config_config', None)
  for name in list(flags.FLAGS):
    if name.startswith('config.'):
      delattr(flags.FLAGS, name)
  streams = [io.TextIOWrapper(io.BytesIO(), 'utf-8') for _ in range(2)]
  with contextlib.redirect_stdout(streams[0]):
    with contextlib.redirect_stderr(streams[1]):
      try:
        exit_code = main.main(arguments)
      except SystemExit as error:
        exit_code = error.code
  texts = []
  for stream in streams:
    stream.flush()
    texts.append(stream.buffer.getvalue().decode())
  return exit_code, *texts

outcomes = {
  name: run(arguments) for name, arguments in json.loads(sys.argv[1]).items()
}
flag_names = {
  module_name: [flag.name for flag in module_flags]
  for module_name, module_flags in flags.FLAGS.flags_by_module_dict().items()
}
print(json.dumps([outcomes, flag_names]))
"""


@pytest.fixture(scope='module')
def outcomes_and_flags():
  """Runs all command lines in one process.

  Returns:
    By name, exit code, stdout and stderr; by module, the names of its flags.
  """
  process = subprocess.run(
    [sys.executable, '-c', _PROGRAM, json.dumps(_COMMAND_LINES)],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert process.returncode == 0, process.stderr
  return json.loads(process.stdout)


@pytest.fixture(scope='module')
def outcomes(outcomes_and_flags):
  return outcomes_and_flags[0]


@pytest.fixture(scope='module')
def flag_names(outcomes_and_flags):
  return outcomes_and_flags[1]


def _assert_fits_a_screen(page):
  lines = page.splitlines()
  assert 1 < len(lines) <= _SCREEN_LINES
  assert max(map(len, lines)) <= _SCREEN_COLUMNS


def test_the_overview_lists_all_commands(outcomes):
  exit_code, page, stderr = outcomes['overview']
  assert (exit_code, stderr) == (0, '')
  _assert_fits_a_screen(page)
  command_rows = [line.split() for line in page.splitlines()[4:]]
  for row, command in zip(command_rows, main.COMMANDS, strict=False):
    assert row[0] == command
    assert len(row) > 1  # a summary follows


def test_no_command_shows_the_overview(outcomes):
  assert outcomes['nothing'] == outcomes['overview']


def test_the_version(outcomes):
  assert outcomes['version'] == [0, f'dualgan_jax {__version__}\n', '']


def test_an_unknown_command_is_one_sentence_that_names_all(outcomes):
  exit_code, stdout, stderr = outcomes['unknown command']
  assert (exit_code, stdout) == (2, '')
  assert stderr == (
    r'error: trian\x1b[2J: no such command; there are '
    f'{", ".join(main.COMMANDS)}.\n'
  )


@pytest.mark.parametrize('command', main.COMMANDS)
def test_the_help_of_a_command_fits_a_screen(outcomes, command):
  exit_code, page, stderr = outcomes[command]
  assert (exit_code, stderr) == (0, '')
  assert page.startswith(f'usage: dualgan {command} ')
  _assert_fits_a_screen(page)


@pytest.mark.parametrize('command', _COMMANDS_WITH_CONFIG)
def test_the_help_of_a_command_names_its_flags(outcomes, flag_names, command):
  _, page, _ = outcomes[command]
  named_flags = {
    line.split()[0].lstrip('-').partition('=')[0]
    for line in page.splitlines()
    if line.startswith('  --')
  }
  module_name, _, _ = main.COMMANDS[command]
  known_flags = {
    name
    for module in ('experiment_flags', module_name)
    for name in flag_names.get(f'dualgan_jax.cli.{module}', ())
    # Overrides of the fields of a config that another command line has read.
    if not name.startswith('config.')
  }
  expected_flags = known_flags - _OMITTED_FLAGS.get(command, set())
  assert named_flags == {*expected_flags, 'config.FIELD'}


@pytest.mark.parametrize(
  ('command', 'argument'),
  [
    *(('export', flag) for flag in ('--workdir', '--format', '--output')),
    ('info', 'FOLDER'),
    *(('predict', argument) for argument in ('FOLDER', '--json', '--top')),
  ],
)
def test_the_help_of_a_student_command_explains_its_arguments(
  outcomes, command, argument
):
  _, page, _ = outcomes[command]
  (explanation,) = [
    line for line in page.splitlines() if line.startswith(f'  {argument} ')
  ]
  assert len(explanation.split()) > 3


def test_a_question_mark_lists_the_presets(outcomes):
  exit_code, page, stderr = outcomes['presets']
  assert (exit_code, stderr) == (0, '')
  _assert_fits_a_screen(page)
  # A summary that takes two lines goes on with spaces.
  rows = [line for line in page.splitlines() if not line.startswith(' ')]
  assert [row.split()[0] for row in rows] == list_presets()
  (digits_row,) = [row for row in rows if row.startswith('digits ')]
  assert "scikit-learn's handwritten digits" in digits_row


def test_help_with_a_config_explains_its_fields(outcomes):
  exit_code, page, stderr = outcomes['fields']
  assert (exit_code, stderr) == (0, '')
  lines = page.splitlines()
  row = lines.index('--config.generator.steps=1000')
  assert lines[row + 1] == ('    Training steps. Takes a whole number from 1.')
  # A changed field has its new value.
  assert '--config.seed=7' in lines
  # Each field has a meaning, and what it takes, after it.
  meanings = [meaning.strip() for meaning in page.split('--config.')[1:]]
  assert len(meanings) > 80
  for meaning in meanings:
    assert ' Takes ' in ' '.join(meaning.split()), meaning


def test_show_config_prints_the_fields_after_changes(outcomes):
  exit_code, page, stderr = outcomes['config']
  assert (exit_code, stderr) == (0, '')
  lines = page.splitlines()
  assert 'seed = 7' in lines
  assert 'generator.steps = 20' in lines
  # The flag has the field's former name.
  assert 'generator.latent_dim = 9' in lines
  # A field that the config leaves out has its default.
  assert 'teachers.low.batch_norm = True' in lines
  # Single values come before groups.
  assert lines[0] == "experiment = 'digits'"
