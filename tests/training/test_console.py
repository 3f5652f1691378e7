import io
import logging
import re
import sys
import types

import pytest

from dualgan_jax.training import console
from dualgan_jax.training.outlook import Outlook


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


def _replace_stderr(monkeypatch):
  """Puts a terminal of 80 columns in the place of stderr, and returns it.

  It is no fixture, since pytest replaces stderr itself before each test.
  """
  terminal = Terminal()
  monkeypatch.setattr('sys.stderr', terminal)
  monkeypatch.setenv('TERM', 'xterm')
  monkeypatch.setenv('COLUMNS', '80')
  # A console looks once whether it may draw.
  new_console = type(console._TERMINAL)(stderr=True, force_jupyter=False)
  monkeypatch.setattr(console, '_TERMINAL', new_console)
  return terminal


@pytest.fixture
def package_logger():
  """The package's logger, whose level and handlers are put back."""
  logger = logging.getLogger('dualgan_jax')
  level, handlers, propagate = (
    logger.level,
    [*logger.handlers],
    logger.propagate,
  )
  yield logger
  logger.setLevel(level)
  logger.handlers[:], logger.propagate = handlers, propagate


def _drawn_lines(terminal):
  """The lines that were drawn, each as often as it was, without colours."""
  text = re.sub(r'\x1b\[[0-9;?]*[A-Za-z]', '', terminal.getvalue())
  return [line.strip() for line in re.split(r'[\r\n]+', text)]


def test_a_pipe_gets_plain_lines(clock, capsys):
  progress = console.Progress('toy', 0, 91)
  clock.seconds += 600  # it compiles
  progress.start_clock(1)
  for step in range(2, 92):
    clock.seconds += 0.5
    progress.show(step, 1 / step)
  progress.close()
  stdout, stderr = capsys.readouterr()
  assert stdout == ''
  assert '\r' not in stderr
  # Every ten seconds, and at the end. The time left is that of the steps.
  assert stderr.splitlines() == [
    'toy: compiling...',
    'toy: step 2 of 91, loss 0.5000, 0:10:00 so far, 0:00:44 left',
    'toy: step 22 of 91, loss 0.0455, 0:10:10 so far, 0:00:34 left',
    'toy: step 42 of 91, loss 0.0238, 0:10:20 so far, 0:00:24 left',
    'toy: step 62 of 91, loss 0.0161, 0:10:30 so far, 0:00:14 left',
    'toy: step 82 of 91, loss 0.0122, 0:10:40 so far, 0:00:04 left',
    'toy: step 91 of 91, loss 0.0110, 0:10:45 so far',
  ]


def test_time_left_counts_only_the_steps_of_this_run(clock, capsys):
  # Going on from step 50: ten steps in twenty seconds leave thirty to do.
  progress = console.Progress('toy', 50, 100)
  progress.start_clock(60)
  clock.seconds += 20
  progress.show(70, None)
  assert capsys.readouterr().err.splitlines()[-1] == (
    'toy: step 70 of 100, 0:00:20 so far, 0:01:00 left'
  )


def test_the_time_left_of_the_run_is_that_of_the_outlook(clock, capsys):
  outlook = Outlook({'a': 100.0, 'b': 300.0})
  progress = console.Progress('a', 0, 11, outlook)
  clock.seconds += 30
  progress.start_clock(1)
  clock.seconds += 10
  progress.show(2, None)
  # 9 steps of 10 s; then b: three times all 11 steps, and 30 s to compile.
  assert capsys.readouterr().err.splitlines()[-1] == (
    'a: step 2 of 11, 0:00:40 so far, 0:01:30 left, whole run 0:07:30 left'
  )


def test_a_terminal_gets_a_bar(monkeypatch):
  terminal = _replace_stderr(monkeypatch)
  progress = console.Progress('toy', 2, 10)
  assert _drawn_lines(terminal)[0].endswith('2/10 compiling...')
  progress.start_clock(3)
  for step in range(4, 11):
    progress.show(step, 0.5)
  progress.close()
  last = [line for line in _drawn_lines(terminal) if line][-1]
  assert last.startswith('toy ━')
  assert last.endswith('10/10 loss 0.5000, took 0:00:00')
  assert max(map(len, _drawn_lines(terminal))) <= 80


def test_the_longest_bar_fits_one_line(monkeypatch, clock):
  terminal = _replace_stderr(monkeypatch)
  outlook = Outlook({'targetnet/branch_points': 1.0, 'b': 1.0})
  progress = console.Progress('targetnet/branch_points', 0, 9999, outlook)
  clock.seconds += 1
  progress.start_clock(1)
  clock.seconds += 1
  progress.show(2, 123.5)
  progress.close()
  (last,) = [line for line in _drawn_lines(terminal) if ' left, run ' in line]
  assert len(last) <= 80
  assert '2/9999 loss 123.5000, 2:46:37 left, run 5:33:17' in last


def test_a_line_is_not_mixed_up_with_the_bar(monkeypatch):
  terminal = _replace_stderr(monkeypatch)
  progress = console.Progress('toy', 0, 10)
  console.say('warning: mind the gap')
  progress.close()
  assert 'warning: mind the gap' in _drawn_lines(terminal)
  # The bar stands below it again.
  assert [*filter(None, _drawn_lines(terminal))][-1].startswith('toy ')


def test_a_bar_leaves_the_cursor_visible(monkeypatch):
  terminal = _replace_stderr(monkeypatch)
  console.Progress('toy', 0, 10).close()
  assert '\x1b[?25l' not in terminal.getvalue()


def test_say_prints_on_stderr(capsys):
  console.say('hello')
  assert capsys.readouterr() == ('', 'hello\n')


def test_a_line_stays_one_line_that_no_terminal_obeys(capsys):
  console.say('label \x1b[2Ja\nerror: forged')
  assert capsys.readouterr().err == 'label \\x1b[2Ja\\nerror: forged\n'


def test_only_warnings_are_left_at_their_level(
  package_logger, clock, monkeypatch
):
  terminal = _replace_stderr(monkeypatch)
  package_logger.setLevel(logging.WARNING)
  console.say('hello')
  console.warn('mind the gap')
  progress = console.Progress('toy', 0, 1)
  progress.show(1, 0.5)
  progress.close()
  assert terminal.getvalue() == 'mind the gap\n'


def test_a_program_takes_the_lines_into_a_log_of_its_own(
  caplog, capsys, package_logger
):
  package_logger.handlers.clear()
  package_logger.propagate = True
  console.say('100 % done')
  console.warn('mind the gap')
  assert caplog.record_tuples == [
    ('dualgan_jax', logging.INFO, '100 % done'),
    ('dualgan_jax', logging.WARNING, 'mind the gap'),
  ]
  assert capsys.readouterr().err == ''


class Notebook:
  """What a notebook's kernel offers: outputs that can be replaced."""

  def __init__(self):
    self.outputs = []
    self.kernel = object()

  def display(self, data, *, raw, display_id):
    assert raw and display_id
    self.outputs.append([data])
    history = self.outputs[-1]
    return types.SimpleNamespace(
      update=lambda data, *, raw: history.append(data)
    )


@pytest.fixture
def notebook(monkeypatch):
  """A notebook, in whose kernel the test runs."""
  notebook = Notebook()
  display = types.SimpleNamespace(display=notebook.display)
  ipython = types.SimpleNamespace(get_ipython=lambda: notebook, display=display)
  monkeypatch.setitem(sys.modules, 'IPython', ipython)
  return notebook


def test_a_notebook_gets_one_output_for_each_phase(notebook, capsys):
  for phase_name in ('toy', 'a<b'):
    progress = console.Progress(phase_name, 0, 10)
    progress.start_clock(1)
    for step in range(2, 11):
      progress.show(step, 0.5)
    progress.close()
  assert [history[0]['text/plain'] for history in notebook.outputs] == [
    'toy 0/10 compiling...',
    'a<b 0/10 compiling...',
  ]
  last = notebook.outputs[1][-1]
  assert last['text/plain'] == 'a<b 10/10 loss 0.5000, took 0:00:00'
  assert last['text/html'] == (
    '<pre style="margin: 0">a&lt;b <progress value="10" max="10"></progress> '
    '10/10 loss 0.5000, took 0:00:00</pre>'
  )
  # Drawn a few times per second, and not at each step.
  assert len(notebook.outputs[1]) < 5
  assert capsys.readouterr() == ('', '')


def test_lines_are_no_errors_in_a_notebook(notebook, capsys):
  console.say('hello')
  assert capsys.readouterr() == ('hello\n', '')


def test_ipython_in_a_terminal_is_no_notebook(notebook, capsys):
  del notebook.kernel
  console.say('hello')
  assert capsys.readouterr() == ('', 'hello\n')
