"""Judges a run by its generated images: what can be known without data.

The verdict is one of three. It is 'not usable' if a number is beyond its
`*_FATAL` bound, 'doubtful' if one is beyond its other bound, and else 'usable'.

How the bounds were chosen: 79 results with an agreement (`experiments/results`
of commit 7b9bfe1, where failed objectives are stored, too) were sorted by the
share of the teachers' top-1 accuracy, or mAP, that the student keeps on real
images.

* Agreement on generated images. The 49 students that keep 90 % or more agree
  on 0.52 to 0.98 of the images, the 20 that keep less than 60 % on 0.81 to
  1.00: a generator that makes one image only is easy to agree on. So a high
  agreement proves nothing, and counts for nothing here. A low one is beyond
  what any good student had, hence `MIN_AGREEMENT`.
* Kept accuracy, where there are real images. A student that keeps less than
  half is of no use, whatever the generated images say. Answers to generated
  images are no reason to doubt one that keeps most: the clients of
  `federated`, seed 0, contradicted one another on 73 % of them, and their
  student kept 97 % of their accuracy.
* Sure teachers. Those of docs/notebooks/own_teachers.ipynb of commit caa2a7e
  are sure of 15 % of the images, and their student is right on 98 % of real
  ones; those of three runs of `digits:dafl` of 4 to 9 %, and their students
  keep 53 to 70 %.
* Contradictory teachers. The clients above show that a share of 73 % does no
  harm; no run has shown what does.
* Provisional: missing and rare labels. The bound of empty images is that of
  `training.health`, which warns in training.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dualgan_jax.display import printable
from dualgan_jax.training import health

USABLE, DOUBTFUL, NOT_USABLE = 'usable', 'doubtful', 'not usable'

# A teacher that gives its label at least this probability is sure of it.
SURE_PROBABILITY = 0.9
# Share of the labels that no image shows. Provisional.
MISSING_FATAL = 0.5
# Images of a label over those of an even distribution. Provisional.
MIN_EVENNESS = 0.1
# Share of images of which the teachers are sure.
MIN_SURE = 0.1
# Share of images on which student and teachers give the same label.
MIN_AGREEMENT = 0.5
# Of the images of one label: as `MIN_AGREEMENT`, if there are enough of them.
MIN_LABEL_AGREEMENT = 0.25
_MIN_LABEL_IMAGES = 10
# Share of images on which owners of a label contradict one another.
MAX_CONTRADICTIONS = 0.9
# Share of the teachers' score on real images that the student keeps.
MIN_KEPT = 0.9
MIN_KEPT_FATAL = 0.5

_NUM_NAMED_LABELS = 8  # in a sentence


@dataclasses.dataclass(frozen=True)
class Findings:
  """Numbers about generated images, as `results.json` holds them.

  Attributes:
    num_images: number of generated images.
    label_counts: by label, the images that show it: the teachers together give
      it a probability above 0.5.
    empty_share: share of images that show no label.
    agreement: share of images whose most probable label is the same for student
      and teachers; of one label, on which both say alike whether it is there.
    label_agreement: by label, the same of the images whose most probable label
      it is for the teachers; None if there are none.
    mean_top_probability: mean of the teachers' largest probability.
    sure_share: share of images on which it is `SURE_PROBABILITY` or more.
    contradictions: see `contradiction_share`; None if no label is shared.
  """

  num_images: int
  label_counts: dict[str, int]
  empty_share: float
  agreement: float
  label_agreement: dict[str, float | None]
  mean_top_probability: float
  sure_share: float
  contradictions: float | None


def examine(
  labels: Sequence[str],
  student_logits: np.ndarray,
  teacher_logits: np.ndarray,
  owner_logits: np.ndarray | None = None,
) -> Findings:
  """Computes what generated images say of generator, teachers and student.

  Args:
    labels: L names.
    student_logits: of N ≥ 1 generated images, [N, L].
    teacher_logits: the ensemble's of the same images, [N, L].
    owner_logits: see `contradiction_share`; None if only one teacher answered
      each image, or no label is shared.
  """
  student_logits, teacher_logits = (
    np.asarray(logits, np.float64)
    for logits in (student_logits, teacher_logits)
  )
  is_shown = teacher_logits > 0
  if len(labels) == 1:
    is_same = is_shown[:, 0] == (student_logits[:, 0] > 0)
  else:
    is_same = teacher_logits.argmax(axis=1) == student_logits.argmax(axis=1)
  top_labels = teacher_logits.argmax(axis=1)
  # σ(x) without an overflow at -1e4.
  top_probabilities = 0.5 * (1 + np.tanh(0.5 * teacher_logits.max(axis=1)))
  return Findings(
    num_images=len(teacher_logits),
    label_counts=dict(zip(labels, is_shown.sum(axis=0).tolist(), strict=True)),
    empty_share=float(np.mean(~is_shown.any(axis=1))),
    agreement=float(is_same.mean()),
    label_agreement={
      label: _mean(is_same[top_labels == column])
      for column, label in enumerate(labels)
    },
    mean_top_probability=float(top_probabilities.mean()),
    sure_share=float(np.mean(top_probabilities >= SURE_PROBABILITY)),
    contradictions=(
      None if owner_logits is None else contradiction_share(owner_logits)
    ),
  )


def contradiction_share(owner_logits: np.ndarray) -> float | None:
  """Computes the share of images on which owners of a label contradict.

  Two teachers that answer the same label contradict one another if only one of
  them gives it a probability above 0.5.

  Args:
    owner_logits: of each label, those of the teachers that answer it,
      [N, L, K]; NaN fills labels with fewer than K.

  Returns:
    None if no label has two owners.
  """
  is_owner = ~np.isnan(owner_logits)
  is_shared = is_owner.sum(axis=2) > 1
  if not is_shared.any():
    return None
  says_yes = (is_owner & (np.nan_to_num(owner_logits) > 0)).sum(axis=2)
  says_no = is_owner.sum(axis=2) - says_yes
  return float(np.mean(((says_yes > 0) & (says_no > 0)).any(axis=1)))


def judge(
  findings: Findings, score_share: float | None = None
) -> tuple[str, list[str]]:
  """Gives the verdict, and its reasons in words.

  Args:
    findings: of `examine`.
    score_share: share of the teachers' score on real images that the student
      keeps; None if there are none.

  Returns:
    `USABLE`, `DOUBTFUL` or `NOT_USABLE`, and sentences without a full stop, the
    gravest first.
  """
  fatal, doubts = _judge_labels(findings)
  if score_share is not None and score_share < MIN_KEPT:
    (fatal if score_share < MIN_KEPT_FATAL else doubts).append(
      f'on real test images the student keeps {score_share:.0%} of the '
      'teachers’ score'
    )
  # They stand for real images only where there are none, or to explain these.
  if score_share is None or score_share < MIN_KEPT:
    doubts += _judge_answers(findings)
  if fatal:
    return NOT_USABLE, fatal + doubts
  if doubts:
    return DOUBTFUL, doubts
  return USABLE, [_describe_success(findings, score_share)]


def diagnose(
  findings: Findings, score_share: float | None = None
) -> dict[str, Any]:
  """Returns the entry `diagnosis` of `results.json`.

  Args:
    findings: of `examine`.
    score_share: see `judge`.
  """
  verdict, reasons = judge(findings, score_share)
  return {
    'verdict': verdict,
    'reasons': reasons,
    **dataclasses.asdict(findings),
  }


def kept_share(metrics: Mapping[str, Mapping[str, Any]]) -> float | None:
  """Computes the share of the teachers' score that the student keeps.

  Args:
    metrics: the entry `metrics` of `results.json`; top-1 accuracy counts, or
      mAP where images have several labels.

  Returns:
    None without real images.
  """
  for name in ('top1', 'mAP'):
    score, teachers_score = (
      metrics.get(model, {}).get(name) for model in ('compact', 'teachers')
    )
    if score is not None and teachers_score:
      return score / teachers_score
  return None


def verdict_line(results: Mapping[str, Any]) -> str:
  """Formats the verdict as one line for a terminal.

  Args:
    results: content of `results.json`.

  Returns:
    '' for results of an earlier version, which have no diagnosis.
  """
  diagnosis = results.get('diagnosis')
  if not diagnosis:
    return ''
  reasons = '; '.join(diagnosis['reasons'])
  return printable(f'Verdict: {diagnosis["verdict"]}: {reasons}.')


def _judge_labels(findings: Findings) -> tuple[list[str], list[str]]:
  """Lists what is fatal and what is doubtful about the labels of the images."""
  fatal, doubts = [], []
  counts, num_images = findings.label_counts, findings.num_images
  if findings.empty_share > 1 - health.MIN_LABELS:
    fatal.append(
      f'{findings.empty_share:.0%} of the generated images show no label: no '
      'teacher gives one a probability above 0.5'
    )
    return fatal, doubts
  missing = [label for label, count in counts.items() if count == 0]
  if missing:
    is_fatal = len(missing) >= MISSING_FATAL * len(counts)
    pronoun = 'it' if len(missing) == 1 else 'them'
    (fatal if is_fatal else doubts).append(
      f'no generated image shows {_list_labels(missing)}: the student has not '
      f'learned {pronoun}'
    )
  even_count = num_images / len(counts)
  rare = [
    label
    for label, count in counts.items()
    if 0 < count < MIN_EVENNESS * even_count
  ]
  if rare:
    doubts.append(f'few generated images show {_list_labels(rare)}')
  # A label that all images show teaches nothing about the others.
  if len(counts) == 1 and num_images in counts.values():
    doubts.append(
      f'all generated images show {_list_labels([*counts])}: the student has '
      'seen nothing else'
    )
  return fatal, doubts


def _judge_answers(findings: Findings) -> list[str]:
  """Lists what is doubtful about the answers of teachers and student."""
  doubts = []
  if findings.agreement < MIN_AGREEMENT:
    doubts.append(
      f'student and teachers give the same label on {findings.agreement:.0%} '
      'of the generated images'
    )
  strayed = [
    label
    for label, share in findings.label_agreement.items()
    if share is not None
    and share < MIN_LABEL_AGREEMENT
    and findings.label_counts[label] >= _MIN_LABEL_IMAGES
  ]
  if strayed:
    doubts.append(
      'the student mostly gives other labels to generated images of '
      + _list_labels(strayed, 'and')
    )
  if findings.sure_share < MIN_SURE:
    doubts.append(
      f'teachers are sure of {findings.sure_share:.0%} of the generated images '
      'only'
    )
  contradictions = findings.contradictions
  if contradictions is not None and contradictions > MAX_CONTRADICTIONS:
    doubts.append(
      f'on {contradictions:.0%} of the generated images teachers that share a '
      'label contradict one another'
    )
  return doubts


def _describe_success(findings: Findings, score_share: float | None) -> str:
  """Describes what speaks for a student, and what is not known."""
  shown = (
    'generated images show every label'
    if len(findings.label_counts) > 1
    else 'some generated images show the label, and some do not'
  )
  if score_share is None:
    return f'{shown}; how it does on real images was not measured'
  return (
    f'{shown}, and on real test images the student keeps {score_share:.1%} of '
    'the teachers’ score'
  )


def _list_labels(labels: Sequence[str], conjunction: str = 'or') -> str:
  """Lists labels in a sentence: '1, 2 or 9', 'a, b and 14 more'."""
  if len(labels) > _NUM_NAMED_LABELS:
    named = ', '.join(labels[:_NUM_NAMED_LABELS])
    return f'{named} and {len(labels) - _NUM_NAMED_LABELS} more labels'
  *first, last = labels
  return f'{", ".join(first)} {conjunction} {last}' if first else last


def _mean(values: np.ndarray) -> float | None:
  return float(values.mean()) if values.size else None
