"""The script for a GPU: what it runs, in which order."""

import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

from experiments import benchmark, peer_comparison
from tests.paths import ROOT

_SCRIPT = ROOT / 'experiments' / 'gpu.sh'
# Stands for Python: records its arguments, writes what `--json` names, and ends
# as the file `outcome` says, once the file `hold` is gone.
_RECORDER = """#!/usr/bin/env bash
cd "$(dirname "$0")"
printf '%s\\n' "$*" >> calls
while [[ -e hold ]]; do sleep 0.05; done
outcome=$(cat outcome 2> /dev/null || echo 0)
for argument in "$@"; do
  [[ $outcome != 0 || $argument != --json=* ]] || touch "${argument#--json=}"
done
exit "$outcome"
"""
_STEPS = (
  'digits:smoke',
  'digits',
  'mnist',
  *['cifar10'] * 5,  # a stage each
  'mnist',
  'strangers',
  'cifar10',
  'cifar10:dafl',
  'lenet:dafl_whole',
)


@pytest.fixture
def python(tmp_path):
  """A recorder in place of the interpreter."""
  path = tmp_path / 'python'
  path.write_text(_RECORDER)
  path.chmod(0o755)
  return path


def _start(python, *arguments, **environment):
  """Starts the script."""
  return subprocess.Popen(
    ['bash', str(_SCRIPT), *arguments],
    cwd=ROOT,
    env={'PATH': os.environ['PATH'], 'PYTHON': str(python), **environment},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    # A group of its own, as `timeout` makes it.
    start_new_session=True,
  )


def _run(python, *arguments, **environment):
  """Runs the script, and returns its exit code and what it printed."""
  process = _start(python, *arguments, **environment)
  printed, errors = process.communicate()
  return process.returncode, printed, errors


def _recorded_calls(python):
  """Returns the calls so far, each a list of arguments."""
  file = python.with_name('calls')
  lines = file.read_text().splitlines() if file.exists() else []
  return [line.split() for line in lines]


def _experiments(calls):
  """Returns the experiment of each call."""
  return tuple(
    argument.partition('=')[2]
    for call in calls
    for argument in call
    if argument.startswith(('--config=', '--experiments='))
  )


def test_all_steps_run_once_and_runs_may_resume(python, tmp_path):
  folder = tmp_path / 'results'
  assert _run(python, str(folder))[0] == 0
  calls = _recorded_calls(python)
  assert _experiments(calls) == _STEPS
  assert f'--init_from={folder}/cifar10' in calls[-2]
  # What was measured is not measured again; a finished run is quick to read.
  assert _run(python, str(folder))[0] == 0
  again = _recorded_calls(python)[len(calls) :]
  assert again == [call for call in calls if 'experiments.main' in call]


@pytest.mark.parametrize('exit_code', [2, 3, 75])
def test_a_step_that_ends_early_ends_the_script(python, tmp_path, exit_code):
  folder = str(tmp_path / 'results')
  python.with_name('outcome').write_text(str(exit_code))
  for number in range(1, 3):
    assert _run(python, folder)[0] == exit_code
    assert _experiments(_recorded_calls(python)) == _STEPS[:1] * number
  python.with_name('outcome').unlink()
  assert _run(python, folder)[0] == 0
  assert _experiments(_recorded_calls(python)[2:]) == _STEPS


def test_after_a_signal_no_other_step_begins(python, tmp_path):
  hold = python.with_name('hold')
  hold.touch()
  process = _start(python, str(tmp_path / 'results'))
  while not _recorded_calls(python):
    time.sleep(0.05)
  # To the script alone: its step goes on to its end.
  process.send_signal(signal.SIGTERM)
  hold.unlink()
  process.communicate()
  assert process.returncode == 75
  assert _experiments(_recorded_calls(python)) == _STEPS[:1]


def test_experiments_and_folders_of_images(python):
  code, printed, _ = _run(
    python,
    *('--print', 'out', 'cifar10:laptop,dafl', 'lenet'),
    CIFAR10_PATH='my images',
    MNIST_PATH='mnist',
  )
  assert code == 0
  assert not _recorded_calls(python)
  commands = [shlex.split(line) for line in printed.splitlines()]
  assert commands[-2][3:] == [
    '--config=cifar10:laptop,dafl',
    '--workdir=out/cifar10-laptop-dafl',
    '--config.data.cifar10.path=my images',
  ]
  assert commands[-1][3:] == [
    '--config=lenet',
    '--workdir=out/lenet',
    '--config.data.mnist.path=mnist',
  ]


@pytest.mark.parametrize('arguments', [(), ('--print',), ('--stop', 'out')])
def test_wrong_arguments_show_the_usage(python, arguments):
  code, printed, errors = _run(python, *arguments)
  assert code == 2
  assert 'gpu.sh [--print] FOLDER [EXPERIMENT...]' in errors
  assert printed == ''


def _printed_commands(python, folder):
  printed = _run(python, '--print', str(folder))[1]
  return [shlex.split(line)[1:] for line in printed.splitlines()]


def test_what_is_measured_can_be(python):
  for command in _printed_commands(python, 'out'):
    if command[1] == 'experiments.main':
      continue
    (names,) = _experiments([command])
    for name in names.split(','):
      config = benchmark._load_config(name)
      assert '--peer' not in command or peer_comparison.has_peer(config)


@pytest.mark.slow
def test_every_run_can_begin(python, tmp_path):
  commands = _printed_commands(python, tmp_path)
  runs = [command for command in commands if command[1] == 'experiments.main']
  assert len(runs) == 4
  for command in runs:
    # There are no teachers to begin from before `cifar10` has run.
    flags = [flag for flag in command if '--init_from' not in flag]
    process = subprocess.run(
      [sys.executable, *flags, '--dry_run'],
      cwd=ROOT,
      capture_output=True,
      text=True,
      check=False,
    )
    assert process.returncode == 0, process.stderr
    assert 'all stages: ' in process.stdout


@pytest.mark.slow
def test_a_short_run_on_a_cpu(tmp_path):
  wrapper = tmp_path / 'python'
  # The benchmark takes minutes, and has tests of its own.
  wrapper.write_text(
    '#!/usr/bin/env bash\n[[ $2 == experiments.main ]] || exit 0\n'
    f'exec {shlex.quote(sys.executable)} "$@"\n'
  )
  wrapper.chmod(0o755)
  folder = tmp_path / 'results'
  environment = {**os.environ, 'JAX_PLATFORMS': 'cpu'}
  # The same experiment twice: what the first run has done is read.
  code, printed, errors = _run(
    wrapper, str(folder), 'digits:smoke', **environment
  )
  assert code == 0, errors
  assert (folder / 'digits-smoke' / 'results.json').exists()
  assert printed.count('| compact ') == 2
