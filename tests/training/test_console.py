import io
import types

import pytest

from dualgan_jax.training import console


class Terminal(io.StringIO):
  def isatty(self):
    return True


@pytest.fixture
def clock(monkeypatch):
  """The clock that progress looks at; it moves when told to."""
  now = types.SimpleNamespace(seconds=100.0)
  fake = types.SimpleNamespace(monotonic=lambda: now.seconds)
  monkeypatch.setattr(console, 'time', fake)
  return now


def test_a_pipe_gets_plain_lines(clock, capsys):
  progress = console.Progress('toy', 0, 90)
  for step in range(1, 91):
    clock.seconds += 0.5
    progress.show(step, 1 / step)
  progress.close()
  out, err = capsys.readouterr()
  assert out == ''
  assert '\r' not in err
  # Every ten seconds, and at the end.
  assert err.splitlines() == [
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
  before = len(terminal.getvalue())
  console.say('warning: mind the gap')
  said = terminal.getvalue()[before:]
  progress.close()
  # Alone on its line, and the bar below it again.
  line, bar = said.split('\n')
  assert line.split('\r')[-1] == 'warning: mind the gap'
  assert 'toy:' in bar


def test_say_speaks_on_stderr(capsys):
  console.say('hello')
  assert capsys.readouterr() == ('', 'hello\n')


def test_a_line_stays_one_line_that_no_terminal_obeys(capsys):
  console.say('label \x1b[2Ja\nerror: forged')
  assert capsys.readouterr().err == 'label \\x1b[2Ja\\nerror: forged\n'
