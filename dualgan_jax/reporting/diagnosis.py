"""Judges a run by its generated images: what can be known without data.

The verdict is one of three. It is 'not usable' if a number is beyond its
`*_FATAL` bound, 'doubtful' if one is beyond its other bound, and else 'usable'.

How the bounds were chosen: 79 results with an agreement (`experiments/results`
of commit 7b9bfe1, where failed objectives are stored, too) were sorted by the
share of the teachers' top-1 accuracy, or mAP, that the student keeps on real
images. Their figures, and those of most later ones, are of images of the
generator before refinement. Those of `federated:alpha_0.3`, `:alpha_0.1`,
`lenet` and `digits:one_digit` are half of images after it, too, as all are now.

* Agreement on generated images. The 49 students that keep 90 % or more agree
  on 0.52 to 0.98 of the images, the 20 that keep less than 60 % on 0.81 to
  1.00: a generator that makes one image only is easy to agree on. So a high
  agreement proves nothing, and counts for nothing here. A low one is beyond
  what any good student had, hence `MIN_AGREEMENT`. An untrained student, of
  tests/experiment/test_verdicts.py, agrees on 0.26.
* Kept scores, where there are real images. Who loses three of ten right answers
  has no use for the student. What generated images say is no reason to doubt
  one that keeps most: the clients of `federated`, seed 0, contradicted one
  another on 73 % of them, and their student kept 97 % of their accuracy; with
  seed 2 hardly an image showed an 8, and the student knew 86 % of the eights.
  Of the 54 stored runs of commit 926b803 that keep 90 % or more, 48 keep 80 %
  or more of each label's average precision, and six 63 to 78 % of one.
* Agreement on blends of two generated images. A student that knows its images
  by heart strays between them. Those of `digits:dafl`, three seeds, and of
  `lenet:dafl`, one, keep 21 to 61 % of the accuracy; they agree on 0.83 to 0.90
  of the images, and on 0.46 to 0.69 of the blends. That of `digits:paper`, seed
  2, keeps 86 %, and agrees on 0.71. Students that keep 91 % or more (the other
  seeds of `digits:paper`, `digits`, `lenet`, clients of MNIST) agree on 0.72 to
  1.00 of the blends. `MIN_BLEND_AGREEMENT` lies between. The margin is no wider
  than the error of 512 images.
* Sure teachers. In three runs of docs/notebooks/own_teachers.ipynb they are
  sure of 8, 13 and 15 % of the images, and the student is right on 97 or 98 %
  of real ones. Those of `federated_fashion_mnist`, seeds 0 and 2, are sure of
  8 %, and the students keep 94 % or more. Those of three runs of `digits:dafl`
  are sure of 1 to 4 %, and the students keep 53 to 61 %. `MIN_SURE` is below
  what these good students had. It doubts those of `federated:alpha_0.1`, too,
  whose clients are sure of no image together: they keep 96 to 98 %, and each
  is weak at a label.
* Contradictory teachers. The clients above show that a share of 73 % does no
  harm, those of `federated:alpha_0.3` that 92 % do none. Those of
  `federated:alpha_0.1` contradict one another on every image.
* Distance from the teachers' statistics. It was 0.50 to 0.87 in the nine runs
  without the prior (`digits:paper`, `mnist:paper`, `no_prior` of the ablation).
  Three of their students keep 91 or 92 % of the accuracy, the others 49 to 86
  %; the bound doubts one of the three. All other students that keep 90 % or
  more had 0.08 or less, where it was measured. A small distance proves
  nothing: it was 0.01 or less in three runs of `lenet:dafl`, and 0.09 in three
  of the ablation's `image_filter`, whose students keep 24 to 82 %.
* Missing and rare labels. Of the 19 stored runs of commit 00394a1 that counted
  them, generated images missed 8 labels, and showed 10 rarely. Students keep
  less than `MIN_LABEL_KEPT` of the average precision of 6 and 4 of these, and
  of 45 of the 172 others. The run that missed half of its labels keeps 53 %.
* The bound of empty images is that of `training.health`, which warns in
  training.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dualgan_jax.display import begin_sentence, printable
from dualgan_jax.reporting import summary
from dualgan_jax.reporting.findings import Findings
from dualgan_jax.training import health

USABLE, DOUBTFUL, NOT_USABLE = 'usable', 'doubtful', 'not usable'

# Share of the labels that no image shows.
MISSING_FATAL = 0.5
# Images of a label over those of an even distribution.
MIN_EVENNESS = 0.1
# Share of images of which the teachers are sure.
MIN_SURE = 0.05
# Share of images on which student and teachers give the same label.
MIN_AGREEMENT = 0.5
MIN_AGREEMENT_FATAL = 0.35
# Of the images of one label: as `MIN_AGREEMENT`, if there are enough of them.
MIN_LABEL_AGREEMENT = 0.25
_MIN_LABEL_IMAGES = 10
# As `MIN_AGREEMENT`, of blends of two generated images.
MIN_BLEND_AGREEMENT = 0.71
# Share of images on which owners of a label contradict one another.
MAX_CONTRADICTIONS = 0.95
# Distance of generated images from the teachers' statistics.
MAX_STATISTICS_DISTANCE = 0.6
# Share of the teachers' score on real images that the student keeps.
MIN_KEPT = 0.9
MIN_KEPT_FATAL = 0.7
MIN_LABEL_KEPT = 0.8  # of a label's average precision

_NUM_NAMED_LABELS = 8  # in a sentence


class KeptScores(NamedTuple):
  """Shares of the teachers' scores on real images that the student keeps.

  Attributes:
    score: of top-1 accuracy, or of mAP where images have several labels.
    by_label: of the average precision of each label; labels that no image
      carries are left out.
  """

  score: float
  by_label: Mapping[str, float]


def judge(
  findings: Findings, kept_scores: KeptScores | None = None, odds: str = ''
) -> tuple[str, list[str]]:
  """Gives the verdict, and its reasons in words.

  Args:
    findings: of `examine`.
    kept_scores: of `compute_kept_scores`; None if there are no real images.
    odds: what became of other runs that were usable without real images; a
      reason more, if this one is.

  Returns:
    `USABLE`, `DOUBTFUL` or `NOT_USABLE`, and sentences without a full stop, the
    gravest first.
  """
  fatal, doubts = (
    about_images + about_answers
    for about_images, about_answers in zip(
      _judge_images(findings), _judge_answers(findings), strict=True
    )
  )
  if kept_scores:
    real_fatal, real_doubts = _judge_kept(kept_scores)
    # Generated images explain what real ones show, and prove nothing more.
    explanations = fatal + doubts if real_fatal or real_doubts else []
    fatal, doubts = real_fatal, real_doubts + explanations
  if fatal:
    return NOT_USABLE, fatal + doubts
  if doubts:
    return DOUBTFUL, doubts
  success = _describe_success(findings, kept_scores)
  return USABLE, [success, odds] if odds and not kept_scores else [success]


def diagnose(
  findings: Findings, kept_scores: KeptScores | None = None, odds: str = ''
) -> dict[str, Any]:
  """Returns the entry `diagnosis` of `results.json`.

  Args:
    findings: of `examine`.
    kept_scores: see `judge`.
    odds: see `judge`.
  """
  verdict, reasons = judge(findings, kept_scores, odds)
  return {
    'verdict': verdict,
    'reasons': reasons,
    **dataclasses.asdict(findings),
  }


def compute_kept_scores(
  metrics: Mapping[str, Mapping[str, Any]],
  per_label: Mapping[str, Mapping[str, Any]],
) -> KeptScores | None:
  """Computes the shares of the teachers' scores that the student keeps.

  Args:
    metrics: the entry `metrics` of `results.json`.
    per_label: the entry `per_label` there.

  Returns:
    None without real images.
  """
  for name in ('top1', 'mAP'):
    score, teachers_score = (
      metrics.get(model, {}).get(name) for model in ('compact', 'teachers')
    )
    if score is not None and teachers_score:
      by_label = {
        label: row['student_ap'] / row['teachers_ap']
        for label, row in per_label.items()
        if row['student_ap'] is not None and row['teachers_ap']
      }
      return KeptScores(score / teachers_score, by_label)
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
  if summary.smoke_warning(results):
    return 'No verdict: the run was too short.'
  sentence = begin_sentence('; '.join(diagnosis['reasons']))
  return printable(f'Verdict: {diagnosis["verdict"]}. {sentence}.')


def _judge_kept(kept_scores: KeptScores) -> tuple[list[str], list[str]]:
  """Lists what is fatal and what is doubtful on real images."""
  fatal, doubts = [], []
  if kept_scores.score < MIN_KEPT:
    is_fatal = kept_scores.score < MIN_KEPT_FATAL
    (fatal if is_fatal else doubts).append(
      f'on real test images the student keeps {kept_scores.score:.0%} of the '
      'teachers’ score, less than '
      f'{MIN_KEPT_FATAL if is_fatal else MIN_KEPT:.0%}'
    )
  weak = [
    label
    for label, share in kept_scores.by_label.items()
    if share < MIN_LABEL_KEPT
  ]
  # If all is bad, single labels say nothing more.
  if weak and not fatal:
    named_labels = (
      _list_labels(weak, 'and')
      if len(weak) < len(kept_scores.by_label)
      else 'every label'
    )
    doubts.append(
      'on real test images the student is much worse than the teachers at '
      + named_labels
    )
  return fatal, doubts


def _judge_images(findings: Findings) -> tuple[list[str], list[str]]:
  """Lists what is fatal and what is doubtful about the generated images."""
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
      f'no generated image shows {_list_labels(missing)}: the student may not '
      f'have learned {pronoun}'
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


def _judge_answers(findings: Findings) -> tuple[list[str], list[str]]:
  """Lists what is fatal and what is doubtful about the answers."""
  fatal, doubts = [], []
  if findings.agreement < MIN_AGREEMENT:
    is_fatal = findings.agreement < MIN_AGREEMENT_FATAL
    (fatal if is_fatal else doubts).append(
      f'student and teachers give the same label on {findings.agreement:.0%} '
      'of the generated images'
    )
  agreement = findings.blend_agreement
  if agreement is not None and agreement < MIN_BLEND_AGREEMENT:
    doubts.append(
      f'student and teachers give the same label on {agreement:.0%} of blends '
      'of two generated images: the student may know these images by heart'
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
      f'teachers are sure of {findings.sure_share:.1%} of the generated images '
      f'only, less than {MIN_SURE:.0%}'
    )
  contradictions = findings.contradictions
  if contradictions is not None and contradictions > MAX_CONTRADICTIONS:
    doubts.append(
      f'on {contradictions:.0%} of the generated images teachers that share a '
      'label contradict one another'
    )
  distance = findings.statistics_distance
  if distance is not None and distance > MAX_STATISTICS_DISTANCE:
    doubts.append(
      f'generated images lie {distance:.1f} standard deviations from what '
      'teachers remember of their training images'
    )
  return fatal, doubts


def _describe_success(
  findings: Findings, kept_scores: KeptScores | None
) -> str:
  """Describes what speaks for a student, and what is not known."""
  if kept_scores:
    return (
      f'on real test images the student keeps {kept_scores.score:.1%} of the '
      'teachers’ score'
    )
  shown = (
    'generated images show every label'
    if len(findings.label_counts) > 1
    else 'some generated images show the label, and some do not'
  )
  return f'{shown}; how it does on real images was not measured'


def _list_labels(labels: Sequence[str], conjunction: str = 'or') -> str:
  """Lists labels in a sentence: '1, 2 or 9', 'a, b and 14 more'."""
  if len(labels) > _NUM_NAMED_LABELS:
    named = ', '.join(labels[:_NUM_NAMED_LABELS])
    return f'{named} and {len(labels) - _NUM_NAMED_LABELS} more labels'
  *first, last = labels
  return f'{", ".join(first)} {conjunction} {last}' if first else last
