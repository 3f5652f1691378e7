import io
import json
import struct
import types

import numpy as np
import pytest
from tensorboardX.proto import event_pb2

from dualgan_jax import logs


class Terminal(io.StringIO):
  def isatty(self):
    return True


def _write(folder, *rows, names=()):
  """Rows of (phase, step, metrics)."""
  log = logs.MetricsLog(folder)
  for phase, step, metrics in rows:
    log.write(phase, step, metrics, names)
  log.close()


def _events(folder):
  """The event files' content, as TensorBoard reads it."""
  for path in sorted(folder.glob('events*')):
    data = path.read_bytes()
    while data:
      # A record: length, its checksum, an event, its checksum.
      (length,) = struct.unpack('<Q', data[:8])
      yield event_pb2.Event.FromString(data[12 : 12 + length])
      data = data[16 + length :]


def _scalars(folder):
  """{(tag, step): value}."""
  return {
    (value.tag, event.step): value.simple_value
    for event in _events(folder)
    for value in event.summary.value
  }


@pytest.fixture
def clock(monkeypatch):
  """The clock that progress looks at; it moves when told to."""
  now = types.SimpleNamespace(seconds=100.0)
  fake = types.SimpleNamespace(monotonic=lambda: now.seconds)
  monkeypatch.setattr(logs, 'time', fake)
  return now


def test_rows_come_back_by_phase(tmp_path):
  _write(
    tmp_path / 'new' / 'folder',
    ('dual/block_1', 1, {'loss': np.float32(0.5)}),
    ('dual/block_1', 20, {'loss': np.float32(0.25)}),
    ('dual/block_2', 1, {'loss': np.float32(2.0), 'count': np.int32(3)}),
  )
  assert logs.read_metrics(tmp_path / 'new' / 'folder') == {
    'dual/block_1': [
      {'phase': 'dual/block_1', 'step': 1, 'loss': 0.5},
      {'phase': 'dual/block_1', 'step': 20, 'loss': 0.25},
    ],
    'dual/block_2': [
      {'phase': 'dual/block_2', 'step': 1, 'loss': 2.0, 'count': 3}
    ],
  }


def test_each_row_is_on_disk_at_once(tmp_path):
  log = logs.MetricsLog(tmp_path)
  log.write('p', 1, {'loss': np.float32(0.5)})
  # A run that is killed now loses nothing of it.
  line = (tmp_path / 'metrics.jsonl').read_text()
  log.close()
  assert json.loads(line) == {'phase': 'p', 'step': 1, 'loss': 0.5}


def test_a_later_run_appends(tmp_path):
  _write(tmp_path, ('p', 1, {'loss': 1.0}))
  _write(tmp_path, ('p', 2, {'loss': 2.0}))
  assert [x['loss'] for x in logs.read_metrics(tmp_path)['p']] == [1.0, 2.0]


def test_a_step_done_twice_counts_as_it_was_last(tmp_path):
  # Killed after step 30, with its last checkpoint at step 10.
  _write(tmp_path, *[('p', s, {'loss': 1.0 * s}) for s in (10, 20, 30)])
  _write(tmp_path, *[('p', s, {'loss': 0.1 * s}) for s in (20, 40)])
  rows = logs.read_metrics(tmp_path)['p']
  assert [x['step'] for x in rows] == [10, 20, 30, 40]
  assert [x['loss'] for x in rows] == [10.0, 2.0, 30.0, 4.0]


@pytest.mark.parametrize('cut', [1, 8, 20])
def test_a_line_cut_short_by_a_kill_is_left_out(tmp_path, cut):
  _write(tmp_path, ('p', 1, {'loss': 1.0}), ('p', 2, {'loss': 2.0}))
  file = tmp_path / 'metrics.jsonl'
  file.write_text(file.read_text()[: -1 - cut])
  assert [x['step'] for x in logs.read_metrics(tmp_path)['p']] == [1]


# Without its newline (0) the line itself is whole.
@pytest.mark.parametrize(('cut', 'steps'), [(0, [1, 2, 3, 4]), (8, [1, 3, 4])])
def test_a_run_goes_on_after_a_cut_line(tmp_path, cut, steps):
  _write(tmp_path, ('p', 1, {'loss': 1.0}), ('p', 2, {'loss': 2.0}))
  file = tmp_path / 'metrics.jsonl'
  file.write_text(file.read_text()[: -1 - cut])
  _write(tmp_path, ('p', 3, {'loss': 3.0}), ('p', 4, {'loss': 4.0}))
  assert [x['step'] for x in logs.read_metrics(tmp_path)['p']] == steps


def test_nothing_written_is_no_rows(tmp_path):
  assert logs.read_metrics(tmp_path / 'never') == {}
  _write(tmp_path)
  assert logs.read_metrics(tmp_path) == {}


def test_scalars_and_vectors_reach_tensorboard(tmp_path):
  row = {'loss': np.float32(0.5), 'firing_rate': np.float32([0.25, 0.75])}
  _write(
    tmp_path,
    ('generator', 20, row),
    ('generator', 40, {'loss': np.float32(0.125)}),
    names=('cat', 'dog'),
  )
  assert _scalars(tmp_path / 'tensorboard' / 'generator') == {
    ('loss', 20): 0.5,
    ('firing_rate/cat', 20): 0.25,
    ('firing_rate/dog', 20): 0.75,
    ('loss', 40): 0.125,
  }
  # In the file the vector stays one.
  (first, _) = logs.read_metrics(tmp_path)['generator']
  assert first['firing_rate'] == [0.25, 0.75]


def test_each_phase_has_its_own_events(tmp_path):
  _write(tmp_path, ('dual/a', 1, {'x': 1.0}), ('dual/b', 1, {'x': 2.0}))
  folder = tmp_path / 'tensorboard' / 'dual'
  assert _scalars(folder / 'a') == {('x', 1): 1.0}
  assert _scalars(folder / 'b') == {('x', 1): 2.0}


def test_tensorboard_drops_what_a_later_run_does_again(tmp_path):
  _write(tmp_path, ('p', 40, {'loss': 1.0}), ('p', 60, {'loss': 1.0}))
  starts = [
    event.step
    for event in _events(tmp_path / 'tensorboard' / 'p')
    if event.session_log.status == event_pb2.SessionLog.START
  ]
  # From here on TensorBoard forgets the points of the runs before.
  assert starts == [40]


def test_a_vector_needs_a_name_per_entry(tmp_path):
  log = logs.MetricsLog(tmp_path)
  with pytest.raises(ValueError, match='longer'):
    log.write('p', 1, {'rate': np.zeros(3)}, ('a', 'b'))
  log.close()


def test_a_pipe_gets_plain_lines(clock, capsys):
  progress = logs.Progress('toy', 0, 90)
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
  progress = logs.Progress('toy', 50, 100)
  clock.seconds += 20
  progress.show(60, None)
  assert capsys.readouterr().err == 'toy: step 60 of 100, 20 s, 80 s left\n'


def test_a_terminal_gets_a_bar(monkeypatch):
  terminal = Terminal()
  monkeypatch.setattr('sys.stderr', terminal)
  progress = logs.Progress('toy', 2, 10)
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
  progress = logs.Progress('toy', 0, 10)
  progress.show(5, None)
  before = len(terminal.getvalue())
  logs.say('warning: mind the gap')
  said = terminal.getvalue()[before:]
  progress.close()
  # Alone on its line, and the bar below it again.
  line, bar = said.split('\n')
  assert line.split('\r')[-1] == 'warning: mind the gap'
  assert 'toy:' in bar


def test_say_speaks_on_stderr(capsys):
  logs.say('hello')
  assert capsys.readouterr() == ('', 'hello\n')
