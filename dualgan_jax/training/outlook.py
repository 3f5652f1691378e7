"""Estimates how long the rest of a run takes, from what was timed so far."""

from collections.abc import Mapping


class Outlook:
  """The time that the phases of a run take, on this machine.

  A later phase takes as many seconds per unit of work as the phases that were
  timed already, and as long to compile as they did on average.
  """

  def __init__(self, work_by_phase: Mapping[str, float]):
    """Makes an outlook in which nothing is timed yet.

    Args:
      work_by_phase: of all phases that are still to be trained, in their order,
        in any unit.
    """
    self._work_by_phase = dict(work_by_phase)
    self._seconds_by_phase: dict[str, float] = {}
    self._compile_seconds: list[float] = []

  @property
  def total_work(self) -> float:
    """Work of all phases that are still to be trained."""
    return sum(self._work_by_phase.values())

  @property
  def num_phases(self) -> int:
    """Number of phases that are still to be trained."""
    return len(self._work_by_phase)

  def add_compilation(self, seconds: float) -> None:
    """Adds the time that a phase took until its first step was done."""
    self._compile_seconds.append(seconds)

  def add_phase(self, phase_name: str, seconds: float) -> None:
    """Sets what all steps of a phase take, as its steps so far have it."""
    self._seconds_by_phase[phase_name] = seconds

  def seconds_after(self, phase_name: str) -> float | None:
    """Estimates the seconds from the end of a phase to the end of the last one.

    Args:
      phase_name: name of a phase that is timed.

    Returns:
      Seconds, compilation included; None if the phase is not one of the run.
    """
    phase_names = list(self._work_by_phase)
    if phase_name not in phase_names:
      return None
    later_names = phase_names[phase_names.index(phase_name) + 1 :]
    timed_names = self._work_by_phase.keys() & self._seconds_by_phase.keys()
    timed_work = sum(self._work_by_phase[name] for name in timed_names)
    timed_seconds = sum(self._seconds_by_phase[name] for name in timed_names)
    later_work = sum(self._work_by_phase[name] for name in later_names)
    compile_seconds = sum(self._compile_seconds) / max(
      len(self._compile_seconds), 1
    )
    return (
      later_work * (timed_seconds / timed_work if timed_work else 0)
      + len(later_names) * compile_seconds
    )
