"""A fixed budget of damaged files; `python -m tests.trials.fuzz` tries more."""

import pytest

from tests.trials import fuzz

# One seed for each run of the tests, so that none fails by chance.
_BUDGET = 300


@pytest.mark.parametrize('name', fuzz.FUZZERS)
def test_damaged_files_are_read_right_or_refused(name, tmp_path):
  assert list(fuzz.iterate_failures(name, _BUDGET, 0, tmp_path)) == []


def test_a_fault_is_returned_with_its_file(tmp_path, monkeypatch):
  def make_trial(numbers, folder):
    path = folder / 'last.x'
    path.write_text('content')
    return fuzz.Trial(path, lambda: 1 // 0)

  monkeypatch.setitem(fuzz.FUZZERS, 'bad', fuzz.Fuzzer(make_trial, 1))
  ((path, fault),) = fuzz.iterate_failures('bad', 1, 0, tmp_path)
  assert path.read_text() == 'content'
  assert fault.startswith('ZeroDivisionError')
