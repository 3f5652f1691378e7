"""What a run leaves, as reports read it."""

import json
import pathlib

import numpy as np

from dualgan_jax.reporting import calibration, confusion, diagnosis, findings
from tests.paths import ROOT


def example_results(labels):
  """Results of a stored run, with what this version adds."""
  path = ROOT / 'experiments/results/digits/default-seed0.json'
  results = json.loads(path.read_text())
  num_labels = len(labels)
  targets = np.eye(num_labels)[np.arange(540) % num_labels]
  logits = 8 * targets - 4
  # One label of the ten is never made.
  made_logits = np.where(np.arange(num_labels) == 9, -4, logits)
  found = findings.examine(
    labels, logits, made_logits, (logits, logits), single_label=False
  )
  comparison = {
    'student_ap': 0.75,
    'teachers_ap': 0.875,
    'student_only': 0.0125,
    'teachers_only': 0.0,
  }
  return {
    **results,
    'labels': labels,
    'images': {'digits': {'train': 1257, 'test': 540}},
    'per_label': dict.fromkeys(labels, comparison),
    'intervals': {'compact': {'top1': [0.9814, 0.9971]}},
    'confusion': confusion.count_answers(logits, targets, one_label=True),
    'uncalibrated': calibration.count_bins(logits / 4, targets, one_label=True),
    'calibration': calibration.count_bins(logits, targets, one_label=True),
    'temperatures': {'compact': 0.25},
    'diagnosis': diagnosis.diagnose(found),
    'command': 'dualgan train --config=digits --workdir=' + 'long/' * 40,
  }


def write_metrics(stage_folder: pathlib.Path, rows):
  stage_folder.mkdir()
  lines = [json.dumps(row) + '\n' for row in rows]
  (stage_folder / 'metrics.jsonl').write_text(''.join(lines))
