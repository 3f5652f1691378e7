"""Feeds damaged and hostile files to what reads them, and counts the faults.

    python -m tests.trials.fuzz [NAME ...] [--budget=N] [--seed=0]

tries each fuzzer's number of files, or N of them. A file is to give what it
says, or a `UserError` of one line, within 2 seconds of CPU time and 300 MB more
memory (images 1,000); all else is a failure. Files that fail are kept, and
their places printed.

A fuzzer is a row of `FUZZERS`: a function `(random, folder) -> Trial`.
"""

import argparse
import dataclasses
import pathlib
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

from dualgan_jax.display import printable
from dualgan_jax.errors import UserError
from tests.trials import fuzz_images, fuzz_students, fuzz_weights
from tests.trials.fuzz_weights import Trial

_MOST_SECONDS = 2
_HANGS = 30  # seconds


@dataclasses.dataclass(frozen=True)
class Fuzzer:
  """A way to damage files.

  Attributes:
    trial: writes one file into a folder, and says how to try it.
    budget: how many files the command tries.
    most_memory: more that reading one may take, in MB.
  """

  trial: Callable[[random.Random, pathlib.Path], Trial]
  budget: int
  most_memory: int = 300


FUZZERS = {
  'torch_files': Fuzzer(fuzz_weights.torch_file_trial, 12_000),
  'safetensors': Fuzzer(fuzz_weights.safetensors_trial, 6_000),
  'students': Fuzzer(fuzz_students.student_trial, 2_000),
  # An image of as many pixels as are allowed takes most of it.
  'images': Fuzzer(fuzz_images.image_trial, 8_000, most_memory=1_000),
}


def failures(
  name: str, budget: int, seed: int, folder: pathlib.Path
) -> Iterator[tuple[pathlib.Path, str]]:
  """Tries files, and yields those that fail, with the reasons.

  Args:
    name: a key of `FUZZERS`.
    budget: how many.
    seed: of the random numbers.
    folder: for the files; the next one replaces one that was fine.
  """
  numbers = random.Random(f'{name} {seed}')
  for number in range(budget):
    trial = FUZZERS[name].trial(numbers, folder)
    reason = _fault(trial, FUZZERS[name].most_memory)
    if reason is not None:
      kept = folder / f'{name}-{number}{trial.path.suffix}'
      copy = shutil.copytree if trial.path.is_dir() else shutil.copy
      copy(trial.path, kept)
      yield kept, reason


def _fault(trial, most_memory):
  """Tries one file; None if it is read right, or refused in one line."""
  memory, began = _peak(), time.process_time()
  try:
    signal.alarm(_HANGS)
    trial.check()
  except UserError as e:
    if str(e) != printable(e):
      return f'more than one line: {e!r}'
  except Exception as e:
    return f'{type(e).__name__}: {e}'[:300]
  finally:
    signal.alarm(0)
  seconds = time.process_time() - began
  if seconds > _MOST_SECONDS:
    return f'{seconds:.1f} s'
  more = _peak() - memory
  return f'{more} MB more' if more > most_memory else None


def _peak():
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _hangs(*_):
  raise TimeoutError('it hangs')


def main() -> None:
  """Tries, and prints how many failed."""
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('names', nargs='*', metavar='NAME', default=[*FUZZERS])
  parser.add_argument('--budget', type=int, help='of each, instead of its own')
  parser.add_argument('--seed', type=int, default=0)
  args = parser.parse_args()
  if unknown := {*args.names} - {*FUZZERS}:
    parser.error(f'no such fuzzer: {", ".join(sorted(unknown))}')
  signal.signal(signal.SIGALRM, _hangs)
  failed = 0
  for name in args.names:
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f'fuzz-{name}-'))
    budget, count = args.budget or FUZZERS[name].budget, 0
    for path, reason in failures(name, budget, args.seed, folder):
      count += 1
      print(f'{path}: {reason}', flush=True)
    print(f'{name}: tried {budget:,}, failed {count:,}', flush=True)
    failed += count
  sys.exit(failed > 0)


if __name__ == '__main__':
  main()
