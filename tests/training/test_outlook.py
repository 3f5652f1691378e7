"""The time that a run is to take, by hand."""

from dualgan_jax.training.outlook import Outlook


def test_later_phases_take_as_long_per_work_as_those_so_far():
  outlook = Outlook({'a': 100.0, 'b': 200.0, 'c': 50.0})
  outlook.add_compilation(4.0)
  outlook.add_phase('a', 10.0)
  # Work of 250 at 10, and two programs at 4 s.
  assert outlook.seconds_after('a') == 25.0 + 8.0
  outlook.add_compilation(6.0)
  outlook.add_phase('b', 5.0)
  # Work of 50 at 300 / 15 per second, and one program at 5 s.
  assert outlook.seconds_after('b') == 2.5 + 5.0
  assert outlook.seconds_after('c') == 0.0


def test_a_phase_that_nobody_has_planned_has_no_outlook():
  assert Outlook({'a': 1.0}).seconds_after('x') is None


def test_phases_without_work_are_no_division_by_zero():
  outlook = Outlook({'a': 0.0, 'b': 0.0})
  outlook.add_phase('a', 1.0)
  assert outlook.seconds_after('a') == 0.0
