"""Writes the README.md of a student's folder, a model card."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from dualgan_jax.display import align, format_shape, printable

# Of the Hugging Face Hub's list; whoever publishes the student knows better.
_UNKNOWN_LICENSE = 'unknown'
_METRIC_NAMES = {
  'top1': 'top-1 accuracy',
  'mAP': 'mean average precision',
  'exact_match': 'images with all labels right',
}
_NUM_LABELS = 100  # that are listed; a config holds all of them


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """What was measured on real test images.

  Attributes:
    num_images: number of test images.
    scores: by name of the metric, its value, and lower and upper bound of its
      95 % confidence interval.
    teachers: the same of the teachers together, without the intervals.
  """

  num_images: int
  scores: Mapping[str, tuple[float, float, float]]
  teachers: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class CardFacts:
  """What a card says of the run that trained a student.

  Attributes:
    teachers: by name, the labels of each; empty if they are not known.
    evaluation: on real images; None if there was none.
    verdict: on the run, in a line; '' if there is none.
    oracle: whether settings of the run were chosen by scores on real images.
  """

  teachers: Mapping[str, Sequence[str]] = dataclasses.field(
    default_factory=dict
  )
  evaluation: Evaluation | None = None
  verdict: str = ''
  oracle: bool = False


def format_card(config: Mapping[str, Any], facts: CardFacts) -> str:
  """Formats the model card of a student.

  Args:
    config: content of its `config.json`.
    facts: of the run that trained it.

  Returns:
    Markdown, with a header in YAML.
  """
  sections = [
    _format_header(),
    _format_summary(config, oracle=facts.oracle),
    _format_teachers(facts.teachers),
    _format_evaluation(facts.evaluation),
    *([_escape(facts.verdict)] if facts.verdict else []),
    _USE,
    _FILES,
    _format_origin(config['origin']),
  ]
  return '\n\n'.join(sections) + '\n'


def _format_header() -> str:
  return f"""---
library_name: dualgan_jax
license: {_UNKNOWN_LICENSE}
pipeline_tag: image-classification
tags:
- data-free
- knowledge-amalgamation
- jax
---"""


def _format_summary(config: Mapping[str, Any], *, oracle: bool) -> str:
  chosen = (
    ' Some settings of\nthe training were chosen by scores on real images.'
    if oracle
    else ''
  )
  labels = config['labels']
  shown_labels = ', '.join(map(_escape, labels[:_NUM_LABELS]))
  rest = len(labels) - _NUM_LABELS
  more = f', and {rest} more in `config.json`' if rest > 0 else ''
  return f"""# An image classifier made of other classifiers, without their data

* **Labels:** {shown_labels}{more}.
* **Images:** {format_shape(config['image'])}, {_escape(config['preparation'])}.
* **Answers:** {_escape(config['answers'])}.{_format_temperature(config)}
* **Licence:** not stated yet. A student derives from its teachers: whoever
  publishes it writes a licence that theirs allow into the header of this file.

**Data-free.** No image that the teachers were trained on was used to train this
student. A generator learned to make images from the frozen teachers alone, and
the student learned from the teachers' answers to them (Ye et al., *Data-Free
Knowledge Amalgamation via Group-Stack Dual-GAN*, CVPR 2020).{chosen}"""


def _format_temperature(config: Mapping[str, Any]) -> str:
  temperature = config['origin'].get('temperature')
  # Folders of earlier versions have none, and others may have anything.
  if not isinstance(temperature, float):
    return ''
  return f"""
  They are calibrated: the weights of the last layer are divided by a
  temperature of {temperature:.2f}, which was chosen on generated images."""


def _format_teachers(teachers: Mapping[str, Sequence[str]]) -> str:
  if not teachers:
    return '## Teachers\n\nThey are not known.'
  table_rows = [['teacher', 'labels'], ['---', '---']]
  for name, labels in teachers.items():
    shown_labels = ', '.join(map(_escape, labels[:_NUM_LABELS]))
    table_rows.append([_escape(name), shown_labels])
  return f'## Teachers\n\n{align(table_rows)}'


def _format_evaluation(evaluation: Evaluation | None) -> str:
  if evaluation is None or not evaluation.scores:
    return '## Evaluation\n\nIt was not measured on real images.'
  table_rows = [
    ['', 'student', '95 % confidence', 'teachers together'],
    ['---', '---:', '---:', '---:'],
  ]
  for metric, (score, low, high) in evaluation.scores.items():
    teachers_score = evaluation.teachers.get(metric)
    table_rows.append(
      [
        _METRIC_NAMES[metric],
        f'{score:.3f}',
        f'{low:.3f} to {high:.3f}',
        '–' if teachers_score is None else f'{teachers_score:.3f}',
      ]
    )
  return f"""## Evaluation

On {evaluation.num_images:,} real test images, on which nothing was trained. The
interval is that of other test images of the same kind, and not of another
training.

{align(table_rows)}"""


def _format_origin(origin: Mapping[str, Any]) -> str:
  facts = json.dumps(dict(origin), indent=1)
  return f'## Origin\n\n```json\n{facts}\n```'


def _escape(text: str) -> str:
  """Shows a text of outside in Markdown as it is, in one line."""
  return ''.join(
    '\\' + character if character in r'\`*_[]<>|#&' else character
    for character in printable(text)
  )


_USE = """## Use it

`FOLDER` is a copy of this repository, or `hf://owner/name`.

1. On the command line: `dualgan predict FOLDER photo.png`
2. In Python: `dualgan_jax.load('FOLDER').predict('photo.png')`
3. In onnxruntime, in Python or in a browser, if there is a `model.onnx`:
   `onnxruntime.InferenceSession('model.onnx').run(None, {'image': images})`
4. In JAX without this package, if there is a `model.stablehlo`, of which `data`
   are the bytes: `jax.export.deserialize(bytearray(data)).call(images)`
5. In plain PyTorch or Flax, from `config.json` and `model.safetensors`: the
   page `docs/student.md` of dualgan_jax has the code.

In 3 and 4, `images` are uint8 [n, height, width, channels] of the size above.
What comes out are probabilities, in the order of `labels` in `config.json`.
`dualgan export` writes both files."""

_FILES = """## Files

| file | what it is |
|---|---|
| `config.json` | labels, image size, net, origin, SHA-256 sums of other files |
| `model.safetensors` | the variables of the net |
| `model.onnx`, `model.int8.onnx`, `model.stablehlo` | exports, if any |
| `README.md` | this card |"""
