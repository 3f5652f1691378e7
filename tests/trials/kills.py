"""Kills a run again and again, and checks that its bits stay the same.

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
_FREQUENT_SAVES = ('--config.save_every=3', '--config.log_every=1')


def start_run(workdir: pathlib.Path, *flags: str) -> subprocess.Popen:
  """Starts the smoke run in a folder, or resumes it."""
  command = [
    sys.executable,
    '-m',
    'experiments.main',
    _CONFIG,
    *_FREQUENT_SAVES,
  ]
  return subprocess.Popen(
    [*command, f'--workdir={workdir}', *flags],
    cwd=ROOT,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
  )


def read_last_states(workdir: pathlib.Path) -> dict[str, dict[str, str]]:
  """Returns, by phase, the SHA-256 of each array of its newest checkpoint."""
  newest_states = {}
  for path in workdir.glob('*/checkpoints/**/progress/metadata'):
    phase = str(path.parents[2].relative_to(workdir))
    step = int(path.parents[1].name)
    digests = json.loads(path.read_text())['sha256']
    del digests['seconds']
    newest_step, _ = newest_states.get(phase, (0, {}))
    if step > newest_step:
      newest_states[phase] = step, digests
  return {phase: digests for phase, (_, digests) in newest_states.items()}


def find_stage(workdir: pathlib.Path) -> str:
  """Returns the stage that a run is in, or 'end'."""
  for stage in stage_table.NAMES:
    record = workdir / stage / 'stage.json'
    if not record.exists() or not json.loads(record.read_text())['finished']:
      return stage
  return 'end'


def main() -> None:
  """Kills runs, resumes them and compares their bits."""
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('--workdir', type=pathlib.Path, required=True)
  parser.add_argument('--kills', type=int, default=50)
  parser.add_argument('--seed', type=int, default=0, help='of the moments')
  arguments = parser.parse_args()
  root = arguments.workdir
  start = time.monotonic()
  undisturbed = start_run(root / 'undisturbed')
  _, stderr = undisturbed.communicate()
  # A start takes its time before it trains; and not all kills are to hit early.
  max_delay = (time.monotonic() - start) / 2
  assert undisturbed.returncode == 0, stderr
  expected_states = read_last_states(root / 'undisturbed')

  delays = random.Random(arguments.seed)
  # By stage, the number of kills that hit it; runs have numbers for names.
  kills, run_number, are_same = collections.Counter(), 0, True
  while True:
    workdir = root / str(run_number)
    has_ended = find_stage(workdir) == 'end'
    if has_ended and kills.total() >= arguments.kills:
      break
    if has_ended:
      are_same &= read_last_states(workdir) == expected_states
      run_number += 1
      continue
    process = start_run(workdir)
    start = time.monotonic()
    try:
      if kills.total() < arguments.kills:
        process.wait(delays.uniform(0, max_delay))
      else:
        process.wait()
      _, stderr = process.communicate()
      assert process.returncode == 0, stderr
    except subprocess.TimeoutExpired:
      process.kill()
      process.communicate()
      stage = find_stage(workdir)
      kills[stage] += 1
      seconds = time.monotonic() - start
      print(f'killed after {seconds:.1f} s in {stage}', flush=True)
  are_same &= read_last_states(workdir) == expected_states
  stage_counts = ', '.join(
    f'{count} in {stage}' for stage, count in sorted(kills.items())
  )
  print(f'{kills.total()} kills ({stage_counts}), {run_number + 1} runs ended.')
  print('All final states are the same.' if are_same else 'They DIFFER.')
  sys.exit(not are_same)


if __name__ == '__main__':
  main()
