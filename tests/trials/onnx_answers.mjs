// Runs the models of `onnx_models.py` in onnxruntime-web, as a browser would.
//
//     node onnx_answers.mjs FOLDER PACKAGE
//
// PACKAGE is the folder of an installed onnxruntime-web.
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';

const [folder, packageFolder] = process.argv.slice(2);
const require = createRequire(import.meta.url);
const ort = require(path.resolve(packageFolder, 'dist/ort.node.min.js'));
// One thread: workers need a page of their own.
ort.env.wasm.numThreads = 1;

const names = fs.readdirSync(folder).filter((name) => name.endsWith('.onnx'));
if (!names.length) throw new Error(`${folder} holds no model`);
for (const name of names) {
  const model = fs.readFileSync(path.join(folder, name));
  const caseName = name.replace('.onnx', '.json');
  const { shape, images, probabilities, tolerance } = JSON.parse(
    fs.readFileSync(path.join(folder, caseName)),
  );
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ['wasm'],
  });
  const image = new ort.Tensor('uint8', Uint8Array.from(images), shape);
  const answers = (await session.run({ image })).probabilities.data;
  probabilities.forEach((expected, index) => {
    if (!(Math.abs(answers[index] - expected) < tolerance)) {
      throw new Error(`${name}: ${answers[index]} instead of ${expected}`);
    }
  });
}
const { version } = require(path.resolve(packageFolder, 'package.json'));
console.log(`onnxruntime-web ${version}: ${names.length} models agree`);
