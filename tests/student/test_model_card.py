"""A student's README.md says what it is, and where it comes from."""

import json

import pytest

from dualgan_jax.student.model_card import CardFacts, Evaluation, format_card
from tests.paths import FILES
from tests.student.test_student import write_toy

FACTS = CardFacts(
  teachers={'pets': ('cat', 'dog'), 'farm': ('cow',)},
  evaluation=Evaluation(
    num_images=1234,
    scores={'top1': (0.9, 0.88, 0.918), 'mAP': (0.95, 0.94, 0.96)},
    teachers={'top1': 0.91, 'mAP': None},
  ),
)


@pytest.fixture
def config():
  path = FILES / 'run_0' / 'student' / 'config.json'
  return json.loads(path.read_text())


def _header(card):
  _, header, _ = card.split('---\n', 2)
  return header.splitlines()


def test_the_header_is_what_hubs_read(config):
  lines = _header(format_card(config, FACTS))
  assert lines[:3] == [
    'library_name: dualgan_jax',
    'license: unknown',
    'pipeline_tag: image-classification',
  ]


def test_the_card_names_labels_teachers_and_scores(config):
  card = format_card(config, FACTS)
  assert '**Labels:** 0, 1, 2, 3, 4, 5, 6, 7, 8, 9.' in card
  assert '**Images:** 16×16×1' in card
  assert '| pets    | cat, dog |' in card
  assert 'On 1,234 real test images' in card
  rows = [line for line in card.splitlines() if 'accuracy' in line]
  assert [cell.strip() for cell in rows[0].split('|')[1:-1]] == [
    *('top-1 accuracy', '0.900', '0.880 to 0.918', '0.910'),
  ]
  assert '**Data-free.** No image' in card
  assert '"experiment": "digits"' in card
  assert 'chosen by scores' not in card


def test_the_card_names_the_temperature_if_there_is_one(config):
  assert 'temperature' not in format_card(config, FACTS)
  config['origin']['temperature'] = 0.625
  assert 'temperature of 0.62, which was chosen' in format_card(config, FACTS)
  # Anybody may have made the file.
  config['origin']['temperature'] = ['0.5']
  assert 'temperature of' not in format_card(config, FACTS)


def test_choices_by_real_images_are_admitted(config):
  assert 'chosen by scores on real images.' in format_card(
    config, CardFacts(oracle=True)
  )


def test_the_verdict_goes_with_the_student(config):
  verdict = 'Verdict: doubtful. Few generated images show 9.'
  assert verdict in format_card(config, CardFacts(verdict=verdict))


def test_what_is_not_known_is_said(config):
  card = format_card(config, CardFacts())
  assert 'They are not known.' in card
  assert 'It was not measured on real images.' in card


def test_texts_of_others_cannot_forge_the_card(config):
  config = {**config, 'labels': ['a|b', '# c', '<img src=x>', 'd\ne']}
  card = format_card(config, CardFacts(teachers={'x`y': ('[z](w)',)}))
  assert r'a\|b, \# c, \<img src=x\>, d' in card
  assert '\ne' not in card.split('**Images')[0].split('**Labels')[1][:-3]
  assert r'x\`y' in card and r'\[z\](w)' in card


def test_many_labels_are_counted(config):
  labels = [f'label {number}' for number in range(150)]
  card = format_card({**config, 'labels': labels}, CardFacts())
  assert 'label 99, and 50 more in `config.json`' in card


def test_every_students_folder_has_a_card(tmp_path):
  folder = write_toy(tmp_path / 'student')
  assert _header((folder / 'README.md').read_text())
