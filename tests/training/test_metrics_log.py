"""A stage's metrics come back as they were, whatever happened to the file."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from dualgan_jax.training import metrics_log


def _write(folder, *rows, label_names=()):
  """Writes rows of (phase, step, metrics)."""
  log = metrics_log.MetricsLog(folder)
  for phase_name, step, metrics in rows:
    log.write(phase_name, step, metrics, label_names)
  log.close()


def _scalars(folder):
  """Reads the scalars that TensorBoard shows, {(tag, step): value}."""
  accumulator = event_accumulator.EventAccumulator(str(folder)).Reload()
  return {
    (tag, event.step): event.value
    for tag in accumulator.Tags()['scalars']
    for event in accumulator.Scalars(tag)
  }


def test_rows_come_back_by_phase(tmp_path):
  _write(
    tmp_path / 'new' / 'folder',
    ('dual/block_1', 1, {'loss': np.float32(0.5)}),
    ('dual/block_1', 20, {'loss': np.float32(0.25)}),
    ('dual/block_2', 1, {'loss': np.float32(2.0), 'count': np.int32(3)}),
  )
  assert metrics_log.read_metrics(tmp_path / 'new' / 'folder') == {
    'dual/block_1': [
      {'phase': 'dual/block_1', 'step': 1, 'loss': 0.5},
      {'phase': 'dual/block_1', 'step': 20, 'loss': 0.25},
    ],
    'dual/block_2': [
      {'phase': 'dual/block_2', 'step': 1, 'loss': 2.0, 'count': 3}
    ],
  }


def test_each_row_is_on_disk_at_once(tmp_path):
  log = metrics_log.MetricsLog(tmp_path)
  log.write('p', 1, {'loss': np.float32(0.5)})
  # A run that is killed now loses nothing of it.
  line = (tmp_path / 'metrics.jsonl').read_text()
  log.close()
  assert json.loads(line) == {'phase': 'p', 'step': 1, 'loss': 0.5}


def test_a_later_run_appends(tmp_path):
  _write(tmp_path, ('p', 1, {'loss': 1.0}))
  _write(tmp_path, ('p', 2, {'loss': 2.0}))
  assert [row['loss'] for row in metrics_log.read_metrics(tmp_path)['p']] == [
    1.0,
    2.0,
  ]


def test_a_step_done_twice_counts_as_it_was_last(tmp_path):
  # Killed after step 30, with its last checkpoint at step 10.
  _write(
    tmp_path, *[('p', step, {'loss': 1.0 * step}) for step in (10, 20, 30)]
  )
  _write(tmp_path, *[('p', step, {'loss': 0.1 * step}) for step in (20, 40)])
  rows = metrics_log.read_metrics(tmp_path)['p']
  assert [row['step'] for row in rows] == [10, 20, 30, 40]
  assert [row['loss'] for row in rows] == [10.0, 2.0, 30.0, 4.0]


@pytest.mark.parametrize('num_cut', [1, 8, 20])
def test_a_line_cut_short_by_a_kill_is_left_out(tmp_path, num_cut):
  _write(tmp_path, ('p', 1, {'loss': 1.0}), ('p', 2, {'loss': 2.0}))
  path = tmp_path / 'metrics.jsonl'
  path.write_text(path.read_text()[: -1 - num_cut])
  assert [row['step'] for row in metrics_log.read_metrics(tmp_path)['p']] == [1]


# Without its newline (0) the line itself is whole.
@pytest.mark.parametrize(
  ('num_cut', 'steps'), [(0, [1, 2, 3, 4]), (8, [1, 3, 4])]
)
def test_a_run_goes_on_after_a_cut_line(tmp_path, num_cut, steps):
  _write(tmp_path, ('p', 1, {'loss': 1.0}), ('p', 2, {'loss': 2.0}))
  path = tmp_path / 'metrics.jsonl'
  path.write_text(path.read_text()[: -1 - num_cut])
  _write(tmp_path, ('p', 3, {'loss': 3.0}), ('p', 4, {'loss': 4.0}))
  assert [
    row['step'] for row in metrics_log.read_metrics(tmp_path)['p']
  ] == steps


def test_a_stage_without_metrics_has_no_rows(tmp_path):
  assert metrics_log.read_metrics(tmp_path / 'never') == {}
  _write(tmp_path)
  assert metrics_log.read_metrics(tmp_path) == {}


def test_scalars_and_vectors_reach_tensorboard(tmp_path):
  row = {'loss': np.float32(0.5), 'firing_rate': np.float32([0.25, 0.75])}
  _write(
    tmp_path,
    ('generator', 20, row),
    ('generator', 40, {'loss': np.float32(0.125)}),
    label_names=('cat', 'dog'),
  )
  assert _scalars(tmp_path / 'tensorboard' / 'generator') == {
    ('loss', 20): 0.5,
    ('firing_rate/cat', 20): 0.25,
    ('firing_rate/dog', 20): 0.75,
    ('loss', 40): 0.125,
  }
  # In the file the vector stays one.
  (first, _) = metrics_log.read_metrics(tmp_path)['generator']
  assert first['firing_rate'] == [0.25, 0.75]


def test_each_phase_has_its_own_events(tmp_path):
  _write(tmp_path, ('dual/a', 1, {'x': 1.0}), ('dual/b', 1, {'x': 2.0}))
  folder = tmp_path / 'tensorboard' / 'dual'
  assert _scalars(folder / 'a') == {('x', 1): 1.0}
  assert _scalars(folder / 'b') == {('x', 1): 2.0}


def test_tensorboard_drops_steps_that_a_later_run_repeats(tmp_path):
  # Killed after step 60, with its last checkpoint at step 20.
  _write(tmp_path, ('p', 20, {'x': 1.0}), ('p', 40, {'x': 1.0}))
  _write(tmp_path, ('p', 40, {'x': 0.5}), ('p', 60, {'x': 0.5}))
  assert _scalars(tmp_path / 'tensorboard' / 'p') == {
    ('x', 20): 1.0,
    ('x', 40): 0.5,
    ('x', 60): 0.5,
  }


def test_labels_that_are_no_words_keep_their_curves_apart(tmp_path):
  label_names = ('C++', 'C##', 'C__', 'T-shirt/top')
  _write(tmp_path, ('p', 1, {'rate': np.arange(4.0)}), label_names=label_names)
  assert _scalars(tmp_path / 'tensorboard' / 'p') == {
    (f'rate/{label_name}', 1): index
    for index, label_name in enumerate(label_names)
  }


def test_a_full_disk_costs_the_events_and_nothing_else(
  tmp_path, monkeypatch, capsys
):
  folder = tmp_path / 'tensorboard' / 'p'
  folder.mkdir(parents=True)
  monkeypatch.setattr('dualgan_jax.training.event_file.time.time_ns', lambda: 7)
  (folder / 'events.out.tfevents.7.dualgan_jax').symlink_to('/dev/full')
  _write(tmp_path, *[('p', step, {'loss': 1.0}) for step in range(1, 30)])
  assert len(metrics_log.read_metrics(tmp_path)['p']) == 29
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith(f'{folder}: no more TensorBoard events')
  assert 'No space left' in line


def test_a_vector_needs_a_name_per_entry(tmp_path):
  log = metrics_log.MetricsLog(tmp_path)
  with pytest.raises(ValueError, match='longer'):
    log.write('p', 1, {'rate': np.zeros(3)}, ('a', 'b'))
  log.close()


def test_a_line_that_is_no_row_is_left_out(tmp_path):
  _write(tmp_path, ('p', 1, {'loss': 1.0}))
  with (tmp_path / 'metrics.jsonl').open('ab') as file:
    file.write(b'\xff\xfe\n[1]\n{"step": 1}\n{"phase": "p", "step": []}\n')
    file.write(b'[' * 100_000 + b'\n')
  _write(tmp_path, ('p', 2, {'loss': 2.0}))
  rows = metrics_log.read_metrics(tmp_path)
  assert {
    phase_name: [row['step'] for row in phase_rows]
    for phase_name, phase_rows in rows.items()
  } == {'p': [1, 2]}


def test_a_folder_that_was_moved_is_not_begun_anew(tmp_path, capsys):
  log = metrics_log.MetricsLog(tmp_path / 'run')
  (tmp_path / 'run').rename(tmp_path / 'elsewhere')
  log.write('dual/a', 1, {'x': 1.0})
  log.close()
  assert not (tmp_path / 'run').exists()
  assert 'no more TensorBoard events' in capsys.readouterr().err


def test_pictures_reach_tensorboard(tmp_path):
  image = np.zeros((2, 3, 1), np.uint8)
  image[0, 1] = 200
  log = metrics_log.MetricsLog(tmp_path)
  log.write_image('generator/train', 20, image)
  log.close()
  folder = tmp_path / 'tensorboard' / 'generator' / 'train'
  accumulator = event_accumulator.EventAccumulator(str(folder)).Reload()
  (event,) = accumulator.Images('generated')
  assert (event.step, event.width, event.height) == (20, 3, 2)
  with Image.open(io.BytesIO(event.encoded_image_string)) as picture:
    np.testing.assert_array_equal(np.asarray(picture), image[..., 0])


def test_config_and_scores_reach_tensorboards_table(tmp_path):
  log = metrics_log.MetricsLog(tmp_path)
  fields = {'generator.steps': 20, 'labels': ('a', 'b'), 'refine.flip': False}
  log.write_hyperparameters(fields, {'compact/top1': 0.5})
  log.close()
  folder = tmp_path / 'tensorboard' / 'results'
  accumulator = event_accumulator.EventAccumulator(str(folder)).Reload()
  assert _scalars(folder) == {('compact/top1', 0): 0.5}
  content = accumulator.SummaryMetadata('_hparams_/session_start_info')
  start = plugin_data_pb2.HParamsPluginData.FromString(
    content.plugin_data.content
  ).session_start_info
  assert start.hparams['generator.steps'].number_value == 20
  assert start.hparams['labels'].string_value == "('a', 'b')"
  assert start.hparams['refine.flip'].bool_value is False


def test_scalars_come_as_a_table_for_spreadsheets(tmp_path):
  _write(
    tmp_path,
    ('dual/a', 1, {'loss': 0.5, 'rate': np.float32([0.25, 0.75])}),
    ('dual/b', 20, {'loss': 0.25, 'accuracy': 1.0}),
    label_names=('x', 'y'),
  )
  metrics_log.write_csv(tmp_path)
  assert (tmp_path / 'metrics.csv').read_text().splitlines() == [
    'phase,step,loss,accuracy',
    'dual/a,1,0.5,',
    'dual/b,20,0.25,1.0',
  ]


def test_a_stage_without_metrics_has_no_table(tmp_path):
  metrics_log.write_csv(tmp_path)
  assert not (tmp_path / 'metrics.csv').exists()
