import io
import types

import pytest

from dualgan_jax.training import console


class Terminal(io.StringIO):
  def isatty(self):
    return True


@pytest.fixture
def clock(monkeypatch):
  """The clock that progress looks at; a test moves it."""
  now = types.SimpleNamespace(seconds=100.0)
  fake_time = types.SimpleNamespace(monotonic=lambda: now.seconds)
  monkeypatch.setattr(console, 'time', fake_time)
  return now


def test_a_pipe_gets_plain_lines(clock, capsys):
  progress = console.Progress('toy', 0, 90)
  for step in range(1, 91):
    clock.seconds += 0.5
    progress.show(step, 1 / step)
  progress.close()
  stdout, stderr = capsys.readouterr()
  assert stdout == ''
  assert '\r' not in stderr
  # Every ten seconds, and at the end.
  assert stderr.splitlines() == [
    'toy: step 20 of 90, loss 0.0500, 10 s, 35 s left',
    'toy: step 40 of 90, loss 0.0250, 20 s, 25 s left',
    'toy: step 60 of 90, loss 0.0167, 30 s, 15 s left',
    'toy: step 80 of 90, loss 0.0125, 40 s, 5 s left',
    'toy: step 90 of 90, loss 0.0111, 45 s, 0 s left',
  ]


def test_time_left_counts_only_the_steps_of_this_run(clock, capsys):
  # Going on from step 50: ten steps in twenty seconds leave forty to do.
  progress = console.Progress('toy', 50, 100)
  clock.seconds += 20
  progress.show(60, None)
  assert capsys.readouterr().err == 'toy: step 60 of 100, 20 s, 80 s left\n'


def test_a_terminal_gets_a_bar(monkeypatch):
  terminal = Terminal()
  monkeypatch.setattr('sys.stderr', terminal)
  progress = console.Progress('toy', 2, 10)
  assert '2/10' in terminal.getvalue()  # going on from step 2
  for step in range(3, 11):
    progress.show(step, 0.5)
  progress.close()
  *_, last = terminal.getvalue().rstrip('\n').split('\r')
  assert last.startswith('toy: 100%')
  assert '10/10' in last
  assert 'loss=0.5000' in last
  assert 'left' not in terminal.getvalue()  # the line that a pipe gets


def test_a_line_is_not_mixed_up_with_the_bar(monkeypatch):
  terminal = Terminal()
  monkeypatch.setattr('sys.stderr', terminal)
  progress = console.Progress('toy', 0, 10)
  progress.show(5, None)
  length_before = len(terminal.getvalue())
  console.say('warning: mind the gap')
  new_output = terminal.getvalue()[length_before:]
  progress.close()
  # It has a line for itself, and the bar stands below it again.
  line, bar = new_output.split('\n')
  assert line.split('\r')[-1] == 'warning: mind the gap'
  assert 'toy:' in bar


def test_say_prints_on_stderr(capsys):
  console.say('hello')
  assert capsys.readouterr() == ('', 'hello\n')


def test_a_line_stays_one_line_that_no_terminal_obeys(capsys):
  console.say('label \x1b[2Ja\nerror: forged')
  assert capsys.readouterr().err == 'label \\x1b[2Ja\\nerror: forged\n'
