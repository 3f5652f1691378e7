"""Runs the models of `onnx_models.py` in whatever onnxruntime is installed.

    python tests/trials/onnx_answers.py FOLDER

It needs NumPy and onnxruntime only, so that old versions can be tried.
"""

import json
import pathlib
import sys

import numpy as np
import onnxruntime


def main(folder: pathlib.Path) -> None:
  """Compares the answers of all models with the expected ones."""
  paths = sorted(folder.glob('*.onnx'))
  assert paths, f'{folder} holds no model'
  for path in paths:
    case = json.loads(path.with_suffix('.json').read_text())
    images = np.array(case['images'], np.uint8).reshape(case['shape'])
    session = onnxruntime.InferenceSession(str(path))
    (probabilities,) = session.run(['probabilities'], {'image': images})
    np.testing.assert_allclose(
      probabilities.ravel(), case['probabilities'], atol=case['tolerance']
    )
  print(f'onnxruntime {onnxruntime.__version__}: {len(paths)} models agree')


if __name__ == '__main__':
  main(pathlib.Path(sys.argv[1]))
