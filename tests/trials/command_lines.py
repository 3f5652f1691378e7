"""Tries wrong command lines: each must be refused in one sentence.

    python -m tests.trials.command_lines [--most=N]

A command line is refused with exit code 2 and one line on stderr or, where a
value is odd but allowed, taken. Nothing is trained: all are dry runs. Prints
what was tried and what failed.
"""

import argparse
import concurrent.futures
import itertools
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from tests.paths import ROOT

_CONFIG = '--config=experiments/configs/digits.py'
_FIELDS = (
  *(
    'seed',
    'labels',
    'image_shape',
    'precision',
    'temperature',
    'devices',
    'nothing',
  ),
  *('generator.steps', 'generator.batch', 'generator.learning_rate'),
  *('generator.widths', 'objective.routing', 'objective.beta', 'refine.flip'),
  *(
    'student.widths',
    'teachers.low.labels',
    'data.digits.path',
    'dual.filter_start',
  ),
)
_VALUES = (
  *('', 'x', '-1', '1e99', 'nan', 'None', "('a',)", '{}', '[', '99999999999'),
  *('x' * 5000, '\x1b[2J', '0.5'),
)

_CONFIG_FILES = {
  'empty.py': b'',
  'zeros.py': bytes(100),
  'syntax.py': b'def get_config(:\n',
  'none.py': b'def get_config(): pass\n',
  'list.py': b'def get_config(): return [1]\n',
  'fails.py': b'def get_config(): return 1 / 0\n',
  'ends.py': b'import sys\nsys.exit(0)\n',
  'two.py': b'def get_config(): raise ValueError("a\\nb")\n',
  'imports.py': b'import nothing_of_this_name\n',
  'bare.py': b'import ml_collections as m\n'
  b'def get_config(): return m.ConfigDict()\n',
}


def iterate_command_lines(folder: pathlib.Path) -> Iterator[list[str]]:
  """Iterates over wrong command lines, without the interpreter.

  Args:
    folder: folder for the files that they name.
  """
  for name, content in _CONFIG_FILES.items():
    (folder / name).write_bytes(content)
  (folder / 'thesis').mkdir()
  (folder / 'thesis' / 'thesis.tex').write_text('mine')
  workdir = f'--workdir={folder}/run'
  train = ['-m', 'experiments.main']
  dry_run = [*train, '--dry_run']
  sweep = ['-m', 'experiments.sweep']
  export = ['-m', 'experiments.export']
  dualgan = ['-m', 'dualgan_jax']
  for field, value in itertools.product(_FIELDS, _VALUES):
    yield [*dry_run, _CONFIG, workdir, f'--config.{field}={value}']
  config_paths = [f'{folder}/{name}' for name in _CONFIG_FILES]
  for path in (
    *config_paths,
    *('digits', '', '.', '/dev/null', 'no.py', '~nobody/x'),
  ):
    yield [*dry_run, f'--config={path}', workdir]
  for variant in ('tiny', ',', 'paper,dafl', 'smoke:smoke', '\n', ' smoke'):
    yield [*dry_run, f'{_CONFIG}:{variant}', workdir]
  odd_paths = (f'{folder}/\x1b[2J', f'{folder}/{"x" * 5000}')
  for path in ('', '/proc/x', f'{folder}/empty.py', *odd_paths):
    yield [
      '-m',
      'experiments.main',
      _CONFIG,
      f'--workdir={path}',
      '--stage=dual',
    ]
    yield [*dry_run, _CONFIG, workdir, f'--init_from={path}']
  yield [*train, _CONFIG, f'--workdir={folder}/thesis']
  for flag in ('--stage=teach', '--stage=dual', '--bogus', '--dry_run=x', 'x'):
    yield [*dry_run, _CONFIG, workdir, flag]
  for flag in ('--multihost', '--config.seed', '--', '-x', '---', '--=1'):
    yield [*dry_run, _CONFIG, workdir, flag, 'x']
  for seeds in ('', 'x', '0,0', '-1', '1.5', '1,,2'):
    yield [*sweep, _CONFIG, workdir, f'--seeds={seeds}']
  for grid in (
    'x',
    '=1',
    'seed=1',
    'x=1',
    'dual.filter_start=no',
    'a=1;a=2',
    'b=',
  ):
    yield [*sweep, _CONFIG, workdir, f'--grid={grid}']
  for flags in (
    [],
    [workdir],
    [workdir, '--format=x'],
    ['--format=onnx'],
    [workdir, '--quantise', '--opset=0'],
    ['x'],
  ):
    yield [*export, *flags]
  for words in (
    *(['x'], ['--versio'], ['info'], ['predict'], ['info', 'a', 'b']),
    *(['train'], ['dry-run'], ['sweep', 'x'], ['export', '--x'], ['Train']),
    *(['show-config'], ['show-config', '--config=digits:x']),
    *(['publish'], ['publish', 'x', 'y'], ['info', 'hf://x']),
    *(['predict', '--csv', '--json', 'x', 'y'],),
  ):
    yield [*dualgan, *words]
  for path in (folder / 'thesis', folder / 'empty.py', '', '\x1b', '/dev/null'):
    yield [*dualgan, 'info', str(path)]
    yield [*dualgan, 'predict', str(path), str(path)]
    yield [*dualgan, 'predict', str(path), 'x', '--top=0']


def find_fault(words: list[str]) -> str | None:
  """Runs a command line, and returns what is wrong with its end, or None."""
  process = subprocess.run(
    [sys.executable, *words],
    cwd=ROOT,
    capture_output=True,
    text=True,
    errors='replace',
    timeout=120,
    check=False,
  )
  if process.returncode == 0 and 'Traceback' not in process.stderr:
    return None
  *first_lines, last_line = process.stderr.rstrip('\n').split('\n')
  if (
    process.returncode != 2
    or first_lines
    or 'error: ' not in last_line
    or not last_line.isprintable()
  ):
    return f'exit code {process.returncode}: {process.stderr[-600:]!r}'
  return None


def main() -> None:
  """Tries all command lines, and prints those that fail."""
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('--most', type=int, help='number of command lines')
  max_lines = parser.parse_args().most
  num_tried = num_failed = 0
  with tempfile.TemporaryDirectory() as folder:
    all_lines = iterate_command_lines(pathlib.Path(folder))
    lines = list(itertools.islice(all_lines, max_lines))
    # Each is a process of its own, so threads only wait for them.
    pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())
    for words, fault in zip(lines, pool.map(find_fault, lines), strict=True):
      num_tried += 1
      if fault:
        num_failed += 1
        print(f'{[word[:60] for word in words]}: {fault}', flush=True)
  print(f'{num_tried} wrong command lines tried, {num_failed} failed.')
  sys.exit(num_failed > 0)


if __name__ == '__main__':
  main()
