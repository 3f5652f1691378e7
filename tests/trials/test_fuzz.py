"""A fixed budget of damaged files; `python -m tests.trials.fuzz` tries more."""

import pytest

from tests.trials import fuzz

# One seed for each run of the tests, so that none fails by chance.
_BUDGET = 300


@pytest.mark.parametrize('name', fuzz.FUZZERS)
def test_damaged_files_are_read_right_or_refused(name, tmp_path):
  assert list(fuzz.failures(name, _BUDGET, 0, tmp_path)) == []


def test_a_fault_is_told_and_its_file_kept(tmp_path, monkeypatch):
  def fails(numbers, folder):
    path = folder / 'last.x'
    path.write_text('content')
    return fuzz.Trial(path, lambda: 1 // 0)

  monkeypatch.setitem(fuzz.FUZZERS, 'bad', fuzz.Fuzzer(fails, 1))
  ((path, reason),) = fuzz.failures('bad', 1, 0, tmp_path)
  assert path.read_text() == 'content'
  assert reason.startswith('ZeroDivisionError')
