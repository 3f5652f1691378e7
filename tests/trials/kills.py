"""Kills a run again and again, and sees that it ends as if nobody had.

    python -m tests.trials.kills --workdir=DIR [--kills=50] [--seed=0]

runs the digits experiment's `:smoke` once undisturbed; then the same with
SIGKILL at random moments, each time started again, and when it ends, once more
in another folder, until all kills are done. Prints where they hit, and whether
every final state is bit for bit that of the undisturbed run.
"""

import argparse
import collections
import json
import pathlib
import random
import subprocess
import sys
import time

from dualgan_jax.config import stage_table
from tests.paths import ROOT

_CONFIG = '--config=experiments/configs/digits.py:smoke'
# So that a kill costs a few steps, and most starts get into some training.
_OFTEN = ('--config.save_every=3', '--config.log_every=1')


def start(workdir: pathlib.Path, *more: str) -> subprocess.Popen:
  """Starts the smoke run in a folder, or goes on with it."""
  command = [sys.executable, '-m', 'experiments.main', _CONFIG, *_OFTEN]
  return subprocess.Popen(
    [*command, f'--workdir={workdir}', *more],
    cwd=ROOT,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
  )


def last_states(workdir: pathlib.Path) -> dict[str, dict[str, str]]:
  """By phase, the SHA-256 of each array of its newest checkpoint."""
  newest = {}
  for path in workdir.glob('*/checkpoints/**/progress/metadata'):
    folder = path.parents[2].relative_to(workdir)
    step = int(path.parents[1].name)
    sums = json.loads(path.read_text())['sha256']
    del sums['seconds']
    newest[str(folder)] = max(
      newest.get(str(folder), (0, {})), (step, sums), key=lambda x: x[0]
    )
  return {folder: sums for folder, (_, sums) in newest.items()}


def place(workdir: pathlib.Path) -> str:
  """The stage that a run is in."""
  for stage in stage_table.NAMES:
    record = workdir / stage / 'stage.json'
    if not record.exists() or not json.loads(record.read_text())['finished']:
      return stage
  return 'end'


def main() -> None:
  """Kills, starts again, compares, reports."""
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('--workdir', type=pathlib.Path, required=True)
  parser.add_argument('--kills', type=int, default=50)
  parser.add_argument('--seed', type=int, default=0, help='of the moments')
  asked = parser.parse_args()
  root = asked.workdir
  began = time.monotonic()
  undisturbed = start(root / 'undisturbed')
  _, said = undisturbed.communicate()
  # A start takes its time before it trains; and not all kills are to hit early.
  longest = (time.monotonic() - began) / 2
  assert undisturbed.returncode == 0, said
  wanted = last_states(root / 'undisturbed')
  moments = random.Random(asked.seed)
  hit, folder, same = collections.Counter(), 0, True
  while hit.total() < asked.kills or place(root / str(folder)) != 'end':
    workdir = root / str(folder)
    if place(workdir) == 'end':
      same &= last_states(workdir) == wanted
      folder += 1
      continue
    process = start(workdir)
    began = time.monotonic()
    try:
      if hit.total() < asked.kills:
        process.wait(moments.uniform(0, longest))
      else:
        process.wait()
      _, said = process.communicate()
      assert process.returncode == 0, said
    except subprocess.TimeoutExpired:
      process.kill()
      process.communicate()
      hit[place(workdir)] += 1
      spent = time.monotonic() - began
      print(f'killed after {spent:.1f} s in {place(workdir)}', flush=True)
  same &= last_states(root / str(folder)) == wanted
  places = ', '.join(f'{n} in {stage}' for stage, n in sorted(hit.items()))
  print(f'{hit.total()} kills ({places}), {folder + 1} runs ended.')
  print('All final states are the same.' if same else 'They DIFFER.')
  sys.exit(not same)


if __name__ == '__main__':
  main()
