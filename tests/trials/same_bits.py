"""Checks that a change leaves the bits of short runs as they were.

    git stash  # or another checkout: the code before the change
    python -m tests.trials.same_bits record FILE
    git stash pop
    python -m tests.trials.same_bits check FILE

FILE is true for one machine and one set of packages. Both commands take some
minutes: they train the digits experiment's `:smoke` in six ways.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any

from tests.trials import kills

_DIGITS = 'experiments/configs/digits.py:smoke'
_RUNS = {
  'smoke': (_DIGITS,),
  'single': (f'{_DIGITS},single',),
  'mixed': (f'{_DIGITS},mixed',),
  'routed': (_DIGITS, '--config.objective.routing=on'),
  'init_from': (
    *(_DIGITS, '--init_from={root}/smoke', '--config.generator.steps=10'),
    '--config.student.widths=(8,8,8)',
  ),
  'resumed': (_DIGITS, '--config.save_every=3'),
}
# Results that say how long something took, or what it ran with.
_MACHINE_DEPENDENT = ('seconds', 'minutes', 'versions', 'command', 'cost')


def main() -> None:
  """Records the bits of short runs, or prints how they differ."""
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('action', choices=('record', 'check'))
  parser.add_argument('file', type=pathlib.Path)
  arguments = parser.parse_args()
  with tempfile.TemporaryDirectory() as root:
    bits = {name: _collect_bits(pathlib.Path(root), name) for name in _RUNS}
  if arguments.action == 'record':
    arguments.file.write_text(json.dumps(bits, indent=1, sort_keys=True))
    print(f'{sum(map(len, bits.values()))} values recorded.')
    return
  recorded_bits = json.loads(arguments.file.read_text())
  differences = [
    f'{name}: {path}'
    for name in _RUNS
    for path in sorted(recorded_bits[name].keys() | bits[name].keys())
    if recorded_bits[name].get(path) != bits[name].get(path)
  ]
  print('\n'.join(differences) or 'All bits are the same.')
  sys.exit(bool(differences))


def _collect_bits(root: pathlib.Path, name: str) -> dict[str, Any]:
  """Trains a run; returns digests of its checkpoints and results, by path."""
  config, *flags = _RUNS[name]
  command = [sys.executable, '-m', 'experiments.main', f'--config={config}']
  command += [
    f'--workdir={root / name}',
    *(flag.format(root=root) for flag in flags),
  ]
  if name == 'resumed':
    _kill_in_generator(command, root / name)
  subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
  print(f'{name}: done', flush=True)
  results = json.loads((root / name / 'results.json').read_text())
  return {
    **_flatten(kills.read_last_states(root / name)),
    **_flatten(results, 'results'),
  }


def _kill_in_generator(command: list[str], workdir: pathlib.Path) -> None:
  """Starts a run and kills it once the generator has a checkpoint."""
  process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
  while not list(workdir.glob('generator/checkpoints/**/progress/metadata')):
    assert process.poll() is None, 'it ended before it was killed'
    time.sleep(0.05)
  process.kill()
  process.wait()


def _flatten(tree: Any, path: str = '') -> dict[str, Any]:
  """Returns the leaves of a tree by path, without those of the machine."""
  if not isinstance(tree, dict):
    return {path: tree}
  return {
    leaf_path: leaf
    for key, value in tree.items()
    if key not in _MACHINE_DEPENDENT
    for leaf_path, leaf in _flatten(value, f'{path}/{key}').items()
  }


if __name__ == '__main__':
  main()
